//! `cosim kv`: what the KV memory of a device holds under each layout, and what it wastes.

use super::case::{ModelArgs, positive};
use super::catalog;
use super::error::Error;
use super::files::{self, svg_path};
use super::parallel::ParallelArgs;
use super::terminal;
use crate::diagnostic::Diagnostic;
use crate::hardware::Fidelity;
use crate::mapping::{Footprint, Plan};
use crate::report::kv::{KvReport, KvRow};
use crate::serving::{Lengths, saturated};
use crate::tensor::{KvLayout, Reserve};
use crate::units::Bytes;
use crate::workload::{CacheChoice, CacheSetting, LayoutKind, checked_parallel};
use std::path::PathBuf;

/// Arguments of `cosim kv`.
#[derive(Debug, clap::Args)]
pub struct KvArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Device id or profile YAML
    #[arg(long)]
    hardware: String,
    #[command(flatten)]
    parallel: ParallelArgs,
    /// Mean prompt, tokens
    #[arg(long, default_value = "161", allow_negative_numbers = true, value_parser = positive)]
    prompt: u64,
    /// Mean output, tokens
    #[arg(long, default_value = "338", allow_negative_numbers = true, value_parser = positive)]
    output: u64,
    /// Standard deviation over mean of both lengths
    #[arg(long, default_value = "1", allow_negative_numbers = true, value_parser = spread)]
    cv: f64,
    /// Longest sequence, which a reservation to the maximum holds [default: the model's, at most 2048]
    #[arg(long, allow_negative_numbers = true, value_parser = positive)]
    max_length: Option<u64>,
    /// Tokens of a KV block
    #[arg(long, default_value = "16", allow_negative_numbers = true)]
    block_size: String,
    /// Seed of the simulation
    #[arg(long, default_value = "1")]
    seed: u64,
    /// SVG file to write
    #[arg(short = 'o', long = "svg", value_name = "FILE", value_parser = svg_path)]
    svg: Option<PathBuf>,
    /// CSV file to write, a row per layout
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// Longest sequence that is served where none is given.
const LONGEST: u64 = 2048;

fn spread(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|v| v.is_finite() && (0.0..=10.0).contains(v));
    value.ok_or_else(|| "expected a number from 0 to 10".to_owned())
}

pub fn run(args: &KvArgs) -> Result<(), Error> {
    let report = report(args)?;
    let mut text = if args.json {
        format!("{:#}\n", report.to_json())
    } else {
        let gib = report.pool.get() / f64::from(1 << 30);
        let token = report.per_token.get();
        let pool = format!("{gib:.3} GiB beside the weights: {} slots of {token} B", report.slots);
        let table = report.to_table().to_terminal(terminal::shape());
        let notes: String = report.notes.iter().map(|n| format!("{n}\n")).collect();
        format!("{}\n{}\n{pool}\n{table}{notes}", report.title, report.subtitle)
    };
    let csv = || report.to_csv().map_err(|e| Diagnostic::new(e.to_string()));
    let drawn = args.svg.clone().map(|path| (path, report.chart().to_svg()));
    let rows = args.csv.clone().map(|path| Ok::<_, Diagnostic>((path, csv()?))).transpose()?;
    let mut wrote = String::new();
    files::write_each(drawn.into_iter().chain(rows), &mut wrote)?;
    if !args.json {
        text += &wrote;
    }
    files::print(&text)
}

fn report(args: &KvArgs) -> Result<KvReport, Error> {
    let mut paged = CacheChoice { kind: Some(LayoutKind::Paged), ..CacheChoice::default() };
    let size = CacheSetting::parse("kv_cache.block_size", &args.block_size);
    let size = size.map_err(|mut d| {
        d.message = d.message.replace("kv_cache.block_size", "--block-size");
        d
    })?;
    size.into_iter().for_each(|s| paged.set(s));
    let (scheme, architecture) = (args.model.scheme()?, args.model.architecture()?);
    let (hardware, machine) = catalog::machine(&args.hardware, &[], Fidelity::Realistic)?;
    let parallel = checked_parallel(args.parallel.wanted(), &architecture)?;
    let graphs = architecture.graphs(&args.model.options())?;
    let plan = Plan::parallel(graphs.parts(), &scheme, parallel)?;
    let longest = args.max_length.unwrap_or(architecture.max_context.min(LONGEST));
    if args.prompt + args.output > longest {
        let message = format!(
            "mean lengths of {} and {} tokens are beyond the longest sequence of {longest}",
            args.prompt, args.output
        );
        return Err(Diagnostic::new(message).hint("shorter means, or another --max-length").into());
    }
    let room = |f: &Footprint| (machine.capacity - f.weights.total).max(Bytes::ZERO);
    let slots = |f: &Footprint| (room(f) / f.kv_per_token()) as u64;
    let least = plan.footprints().min_by_key(|f| slots(f));
    let footprint = least.expect("invariant: a plan has a stage");
    if slots(footprint) == 0 {
        let message = format!("the weights of {} leave no KV memory", architecture.id);
        return Err(Diagnostic::new(message).hint("--tp, or fewer bits with --quant").into());
    }
    let lengths =
        Lengths { prompt: args.prompt as f64, output: args.output as f64, cv: args.cv, longest };
    let slots = slots(footprint);
    let contiguous =
        |(_, reserve): &(&str, Reserve)| KvLayout::Contiguous { reserve: *reserve, longest };
    let mut layouts: Vec<KvLayout> = Reserve::ALL.iter().map(contiguous).collect();
    layouts.push(paged.layout()?);
    let row = |layout: KvLayout| -> Result<KvRow, Error> {
        let per_sequence = layout.slots(args.prompt, args.output);
        let per_sequence = per_sequence.map_err(|e| Diagnostic::new(e.to_string()))?;
        let outcome = saturated(&layout, slots, lengths, args.seed).map_err(|e| e.to_string());
        Ok(KvRow { layout, per_sequence, outcome })
    };
    let devices = match parallel.devices() {
        1 => hardware.name.to_string(),
        n => format!("{n} x {} ({parallel}), a device", hardware.name),
    };
    Ok(KvReport {
        title: format!("{}, {scheme}, on {devices}", architecture.name),
        subtitle: format!(
            "log-normal lengths, means {} prompt and {} output tokens, cv {}, at most {longest}",
            args.prompt, args.output, args.cv
        ),
        pool: room(footprint),
        per_token: footprint.kv_per_token(),
        slots,
        rows: layouts.into_iter().map(row).collect::<Result<_, _>>()?,
        notes: notes(&plan),
    })
}

fn notes(plan: &Plan) -> Vec<String> {
    let mut notes =
        vec!["A saturated server, seeded; reservations are placed by buddies (A24).".to_owned()];
    if !plan.windows.is_empty() {
        notes.push("Every layer counts as one without a window.".to_owned());
    }
    if plan.footprint.start().is_some() {
        notes.push("The decoder's cache alone, without what the encoder keeps.".to_owned());
    }
    notes
}
