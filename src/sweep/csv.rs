//! Rows as CSV: SI units in the column names' suffixes, blank where a value has no meaning.

use super::grid::Grid;
use super::row::{Figures, Row};
use crate::units::Seconds;
use std::fmt::Write;
use std::ops::Range;

/// Columns before the hardware axes, and behind them.
const KEYS: &[&str] = &[
    "hardware",
    "model",
    "quant",
    "attention",
    "fusion",
    "parallel",
    "devices",
    "speculative",
    "heads",
    "window",
    "routing",
    "kv_layout",
    "offload",
    "batch",
    "prompt",
    "output",
];
const FIGURES: &[&str] = &[
    "status",
    "fits",
    "ttft_s",
    "tpot_s",
    "ttft_s_low",
    "ttft_s_high",
    "tpot_s_low",
    "tpot_s_high",
    "encode_s",
    "prefill_s",
    "decode_tok_s",
    "throughput_tok_s",
    "prefill_bound",
    "decode_bound",
    "weights_bytes",
    "kv_bytes",
    "kv_unused_bytes",
    "offloaded_bytes",
    "activation_bytes",
    "total_bytes",
    "capacity_bytes",
    "max_batch",
    "energy_j_per_token",
    "usd_per_mtok",
    "usd_per_mtok_input",
    "usd_per_mtok_output",
    "fidelity",
    "basis",
];

/// Column names of a grid's CSV.
pub fn header(grid: &Grid) -> Vec<String> {
    let axes = grid.hardware_paths.iter().cloned();
    let keys = KEYS.iter().map(|k| (*k).to_owned());
    keys.chain(axes).chain(FIGURES.iter().map(|f| (*f).to_owned())).collect()
}

/// The rows of consecutive points.
pub(super) fn render(grid: &Grid, points: Range<u64>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::with_capacity(1 << 18));
    let mut text = String::new();
    grid.for_each(points, |_, row| {
        write_row(&mut writer, row, &mut text).expect("invariant: writing to memory does not fail");
    });
    writer.into_inner().expect("invariant: flushing to memory does not fail")
}

/// One row, in the order of [`header`].
///
/// # Errors
/// What the writer returns.
pub fn write_row<W: std::io::Write>(
    writer: &mut csv::Writer<W>,
    row: &Row<'_>,
    text: &mut String,
) -> csv::Result<()> {
    let technique = row.technique;
    for field in [&row.variant.id, technique.model.as_str(), technique.scheme.name()] {
        writer.write_field(field)?;
    }
    writer.write_field(technique.options.attention.name())?;
    writer.write_field(technique.options.fusions.name())?;
    let parallel = technique.plan.parallel;
    field(writer, text, format_args!("{parallel}"))?;
    field(writer, text, format_args!("{}", parallel.devices()))?;
    field(writer, text, format_args!("{}", technique.speculative))?;
    field(writer, text, format_args!("{}", technique.heads))?;
    writer.write_field(&technique.windows)?;
    field(writer, text, format_args!("{}", technique.options.routing))?;
    let placement = &technique.plan.placement;
    field(writer, text, format_args!("{}", placement.layout))?;
    field(writer, text, format_args!("{}", placement.offload))?;
    for number in [row.traffic.batch, row.traffic.prompt, row.traffic.output] {
        field(writer, text, format_args!("{number}"))?;
    }
    for setting in &row.variant.settings {
        writer.write_field(setting)?;
    }
    writer.write_field(row.status.text())?;
    match &row.figures {
        Some(figures) => write_figures(writer, row, figures, text)?,
        None => (3..FIGURES.len()).try_for_each(|_| writer.write_field(""))?,
    }
    writer.write_field(row.figures.map_or("", |f| f.fidelity))?;
    writer.write_field(row.figures.map_or("", |f| f.basis.name()))?;
    writer.write_record(None::<&[u8]>)
}

fn write_figures<W: std::io::Write>(
    writer: &mut csv::Writer<W>,
    row: &Row<'_>,
    figures: &Figures,
    text: &mut String,
) -> csv::Result<()> {
    let Figures { summary, capacity, economics, .. } = figures;
    let shown = row.status.shows_times();
    let (batch, output) = (row.traffic.batch as f64, row.traffic.output as f64);
    let prefill = summary.prefill.map(|t| t.get());
    let encode = summary.encode.map(|t| t.get());
    let step = summary.decode_step.map(|t| t.get());
    let ranges = summary.ranges.unwrap_or_default();
    let edge = |range: Option<[Seconds; 2]>, i: usize| range.map(|edges| edges[i].get());
    let times = [
        prefill,
        step,
        edge(ranges.prefill, 0),
        edge(ranges.prefill, 1),
        edge(ranges.decode_step, 0),
        edge(ranges.decode_step, 1),
        encode,
        prefill.map(|t| t - encode.unwrap_or(0.0)),
        step.map(|t| batch / t),
        Some(batch * output / summary.total.get()),
    ];
    writer.write_field(if capacity.fits { "true" } else { "false" })?;
    for time in times {
        optional(writer, text, time.filter(|_| shown))?;
    }
    for bound in [summary.prefill_bound, summary.decode_bound] {
        writer.write_field(bound.filter(|_| shown).map_or("", |b| row.bound_name(b)))?;
    }
    let memory = summary.memory;
    let bytes = [
        memory.weights,
        memory.kv,
        memory.kv_unused,
        memory.offloaded,
        memory.activations,
        memory.total(),
        capacity.capacity,
    ];
    for bytes in bytes {
        field(writer, text, format_args!("{}", bytes.get()))?;
    }
    field(writer, text, format_args!("{}", capacity.max_batch))?;
    let costs = [
        economics.energy_per_token.map(|v| v.get()),
        economics.per_million.map(|v| v.get()),
        economics.per_million_input.map(|v| v.get()),
        economics.per_million_output.map(|v| v.get()),
    ];
    costs.into_iter().try_for_each(|cost| optional(writer, text, cost.filter(|_| shown)))
}

fn optional<W: std::io::Write>(
    writer: &mut csv::Writer<W>,
    text: &mut String,
    value: Option<f64>,
) -> csv::Result<()> {
    match value {
        Some(value) => field(writer, text, format_args!("{value:.6e}")),
        None => writer.write_field(""),
    }
}

fn field<W: std::io::Write>(
    writer: &mut csv::Writer<W>,
    text: &mut String,
    value: std::fmt::Arguments<'_>,
) -> csv::Result<()> {
    text.clear();
    let _ = text.write_fmt(value);
    writer.write_field(text.as_str())
}
