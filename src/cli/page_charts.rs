//! The charts of a sweep: devices compared, and a roofline and breakdown for each.

use super::error::Error;
use crate::cost::{Economics, Estimator, Memory, Request};
use crate::report::bars::{Bar, BarsChart, Outcome};
use crate::report::comparison::{ComparisonChart, ComparisonPoint};
use crate::report::html::{Card, Figure};
use crate::report::memory::{MemoryChart, MemoryStack};
use crate::report::{Axis, Better, CaseCharts, EstimateContext, Prefixes, describe};
use crate::sweep::{Grid, Row, Variant};
use crate::units::{Bytes, Seconds};
use crate::workload::Scenario;
use std::collections::BTreeSet;

type Files = Vec<(String, String)>;

/// A device's first point.
struct Contender<'a> {
    label: String,
    variant: &'a Variant,
    throughput: Option<f64>,
    tpot: Option<f64>,
    tpot_range: Option<[f64; 2]>,
    memory: Option<(Memory, Bytes)>,
    status: String,
}

/// Throughput against price and power, and ranked time per output token.
pub fn comparisons(scenario: &Scenario, grid: &Grid) -> (Files, Vec<Figure>) {
    let contenders = contenders(grid);
    let subtitle = subtitle(scenario, grid);
    let price = Axis::new("Price", "$/h", Prefixes::Plain, Better::Lower);
    let power = Axis::new("TDP", "W", Prefixes::Plain, Better::Lower);
    let money: &dyn Fn(&Variant) -> Option<f64> = &|v| v.price.map(|p| p.get());
    let watts: &dyn Fn(&Variant) -> Option<f64> = &|v| v.power.map(|p| p.tdp.get());
    let charts = [
        (
            "throughput-per-dollar.svg",
            "Throughput against the hourly price of each accelerator",
            against("Throughput against price", &subtitle, price, &contenders, money).to_svg(),
        ),
        (
            "throughput-per-watt.svg",
            "Throughput against the power of each accelerator",
            against("Throughput against power", &subtitle, power, &contenders, watts).to_svg(),
        ),
        (
            "tpot.svg",
            "Time per output token of each accelerator",
            ranking(&subtitle, &contenders).to_svg(),
        ),
        (
            "memory.svg",
            "Memory of each accelerator against its capacity",
            memory(&subtitle, &contenders).to_svg(),
        ),
    ];
    let figure = |(file, alt): (&str, &str)| Figure {
        file: file.to_owned(),
        alt: alt.to_owned(),
        caption: alt.to_owned(),
    };
    let figures = charts.iter().map(|(file, alt, _)| figure((file, alt))).collect();
    (charts.into_iter().map(|(file, _, svg)| (file.to_owned(), svg)).collect(), figures)
}

fn contenders(grid: &Grid) -> Vec<Contender<'_>> {
    let per_device = grid.points_per_block() * grid.techniques.len() as u64;
    let first = (0..grid.variants.len() as u64).map(|device| {
        let block = grid.block(device * per_device);
        let row = grid.row(&block, 0);
        let (throughput, tpot) = speeds(&row);
        let variant = &grid.variants[device as usize];
        let status = row.status.text().to_owned();
        let memory = row.figures.map(|f| (f.summary.memory, f.capacity.capacity));
        let tpot_range = row.figures.and_then(|f| f.summary.ranges?.decode_step);
        let tpot_range = tpot_range.map(|range| range.map(|t| t.get()));
        Contender { label: label(variant), variant, throughput, tpot, tpot_range, memory, status }
    });
    first.collect()
}

fn against(
    title: &str,
    subtitle: &str,
    x: Axis,
    contenders: &[Contender<'_>],
    value: &dyn Fn(&Variant) -> Option<f64>,
) -> ComparisonChart {
    let mut points = vec![];
    let mut omitted = vec![];
    let drawable = contenders.iter().filter(|c| c.throughput.is_some());
    let groups: BTreeSet<String> = drawable.map(|c| c.variant.vendor.clone()).collect();
    for c in contenders {
        match (value(c.variant), c.throughput) {
            (Some(spent), Some(throughput)) => points.push(ComparisonPoint {
                label: c.label.clone(),
                x: spent,
                y: throughput,
                group: c.variant.vendor.clone(),
                detail: format!("{throughput:.1} tok/s at {spent} {}", x.unit),
            }),
            (None, Some(_)) => omitted.push((c.label.clone(), format!("no {} figure", x.unit))),
            (_, None) => omitted.push((c.label.clone(), c.status.clone())),
        }
    }
    ComparisonChart {
        title: title.to_owned(),
        subtitle: subtitle.to_owned(),
        x,
        y: Axis::new("Throughput", "tok/s", Prefixes::Si, Better::Higher),
        points,
        groups: groups.into_iter().collect(),
        chosen: None,
        omitted,
        notes: vec![],
    }
}

fn ranking(subtitle: &str, contenders: &[Contender<'_>]) -> BarsChart {
    let bar = |c: &Contender<'_>| Bar {
        label: c.label.clone(),
        outcome: c.tpot.map_or_else(|| Outcome::Status(c.status.clone()), Outcome::Value),
        range: c.tpot_range.filter(|_| c.tpot.is_some()),
        detail: c.throughput.map_or_else(String::new, |t| format!("{t:.1} tok/s")),
    };
    BarsChart {
        title: "Time per output token".to_owned(),
        subtitle: subtitle.to_owned(),
        axis: Axis::new("TPOT", "s", Prefixes::Si, Better::Lower),
        bars: contenders.iter().map(bar).collect(),
        notes: contenders
            .iter()
            .any(|c| c.tpot_range.is_some())
            .then(|| "Lines: what 80 % of measurements lie between; without one a device takes the roofline's times.".to_owned())
            .into_iter()
            .collect(),
    }
}

fn memory(subtitle: &str, contenders: &[Contender<'_>]) -> MemoryChart {
    let stack = |c: &Contender<'_>| {
        let (memory, capacity) = c.memory?;
        Some(MemoryStack { label: c.label.clone(), parts: memory.parts(), capacity })
    };
    let mut stacks: Vec<MemoryStack> = contenders.iter().filter_map(stack).collect();
    stacks.sort_by(|a, b| b.capacity.get().total_cmp(&a.capacity.get()));
    MemoryChart {
        title: "Memory against capacity".to_owned(),
        subtitle: subtitle.to_owned(),
        stacks,
        notes: vec![],
    }
}

fn speeds(row: &Row<'_>) -> (Option<f64>, Option<f64>) {
    let summary = row.figures.as_ref().filter(|_| row.status.shows_times()).map(|f| f.summary);
    let tokens = row.traffic.batch as f64 * row.traffic.output as f64;
    let throughput = summary.map(|s| tokens / s.total.get());
    (throughput, summary.and_then(|s| s.decode_step).map(|t| t.get()))
}

fn label(variant: &Variant) -> String {
    if variant.settings.is_empty() {
        return variant.id.to_string();
    }
    format!("{} ({})", variant.id, variant.settings.join(", "))
}

/// The file stem of a variant's charts.
fn stem(grid: &Grid, device: usize) -> String {
    let variant = &grid.variants[device];
    let same = grid.variants[..device].iter().filter(|v| v.id == variant.id).count();
    match (variant.settings.is_empty(), same) {
        (true, 0) => variant.id.to_string(),
        (_, same) => format!("{}-{}", variant.id, same + 1),
    }
}

fn subtitle(scenario: &Scenario, grid: &Grid) -> String {
    let technique = &grid.techniques[0];
    let mut text = None;
    grid.for_each(0..1, |_, row| {
        let crate::workload::Traffic { batch, prompt, output } = row.traffic;
        text = Some(describe(&Request::Generation { batch, prompt, output }));
    });
    format!(
        "{}: {}, {}, {}",
        scenario.name,
        technique.model_name,
        technique.scheme,
        text.unwrap_or_default()
    )
}

/// The card and SVG files of one device, at its first technique and traffic point.
pub fn device_charts(
    scenario: &Scenario,
    grid: &Grid,
    device: usize,
) -> Result<(Card, Files), Error> {
    let variant = &grid.variants[device];
    let index = device as u64 * grid.points_per_block() * grid.techniques.len() as u64;
    let block = grid.block(index);
    let row = grid.row(&block, 0);
    let stem = stem(grid, device);
    let of_machine = || variant.machine.fallbacks.clone();
    let mut fallbacks = block.estimator().map_or_else(of_machine, Estimator::fallbacks);
    fallbacks.extend(variant.roofline_because.clone());
    let mut card = Card {
        title: variant.name.clone(),
        anchor: variant.id.to_string(),
        facts: facts(variant, &row, &fallbacks),
        figures: vec![],
    };
    let Some(estimator) = block.estimator().filter(|_| row.status.shows_times()) else {
        return Ok((card, vec![]));
    };
    let crate::workload::Traffic { batch, prompt, output } = row.traffic;
    let request = Request::Generation { batch, prompt, output };
    let report = estimator.report(&request)?;
    let context = EstimateContext {
        model: &row.technique.model,
        hardware: &variant.id,
        quant: row.technique.scheme.name(),
        levels: variant.machine.level_names().collect(),
        slowest_level: &variant.machine.levels[estimator.slowest_index()].name,
        economics: Economics::new(
            &request,
            &report.summary,
            estimator.devices(),
            variant.power,
            variant.price,
        ),
        provenance: estimator.provenance(report.summary.bounds),
        not_modelled: &variant.machine.not_modelled,
        fallbacks: fallbacks.clone(),
        placement: row.technique.plan.placement,
        kv_slots: None,
        parallel: row.technique.plan.parallel,
        stages: vec![],
        heads: row.technique.heads.to_string(),
        window: row.technique.windows.clone(),
        options: row.technique.options,
        api: None,
        remedy: None,
        cross_kv: None,
        speculation: None,
        warnings: vec![],
        fidelity: estimator.fidelity(),
        shows_times: true,
    };
    let charts = CaseCharts {
        model: &row.technique.model_name,
        device: &variant.name,
        machine: &variant.machine,
        estimator,
        report: &report,
        context: &context,
    };
    let names = [format!("roofline-{stem}.svg"), format!("breakdown-{stem}.svg")];
    let svgs = [charts.roofline().to_svg(), charts.breakdown().to_svg()];
    let captions = ["Roofline", "Time by operator"];
    card.figures = names
        .iter()
        .zip(captions)
        .map(|(file, caption)| Figure {
            file: file.clone(),
            alt: format!("{caption} of {} on {}", row.technique.model_name, variant.name),
            caption: format!("{caption}, {}", scenario.name),
        })
        .collect();
    Ok((card, names.into_iter().zip(svgs).collect()))
}

fn facts(variant: &Variant, row: &Row<'_>, fallbacks: &[String]) -> Vec<(String, String)> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![];
    if !variant.settings.is_empty() {
        facts.push(fact("changed", variant.settings.join(", ")));
    }
    if !matches!(row.status, crate::sweep::Status::Ok) {
        facts.push(fact("status", row.status.text().to_owned()));
    }
    if let Some(figures) = row.figures.as_ref().filter(|_| row.status.shows_times()) {
        let summary = &figures.summary;
        let ranges = summary.ranges.unwrap_or_default();
        let within = |time: Seconds, range: Option<[Seconds; 2]>| match range {
            Some([low, high]) => format!("{time} (80 %: {low} to {high})"),
            None => time.to_string(),
        };
        facts.push(fact("times", figures.fidelity.to_owned()));
        facts.extend(summary.prefill.map(|t| fact("TTFT", within(t, ranges.prefill))));
        facts.extend(summary.decode_step.map(|t| fact("TPOT", within(t, ranges.decode_step))));
        facts.push(fact(
            "memory",
            format!("{} of {}", summary.memory.total(), figures.capacity.capacity),
        ));
        facts.push(fact("largest batch", figures.capacity.max_batch.to_string()));
    }
    facts.extend(row.figures.map(|f| fact("basis", f.basis.to_string())));
    if !fallbacks.is_empty() {
        facts.push(fact("fallbacks", fallbacks.join("; ")));
    }
    if !variant.machine.not_modelled.is_empty() {
        facts.push(fact("not modelled", variant.machine.not_modelled.join("; ")));
    }
    facts
}
