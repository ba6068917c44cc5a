//! `cosim estimate`: one request on one device.

use super::case::{Case, CaseArgs};
use super::deploy::{DeployArgs, Search};
use super::error::Error;
use super::files;
use super::speculate::{self, SpeculateArgs};
use super::terminal;
use crate::cost::{CostReport, Economics, Memory, Remedy, Request};
use crate::diagnostic::Diagnostic;
use crate::dtype::Scheme;
use crate::mapping::Plan;
use crate::report::{Column, EstimateContext, Table, describe, estimate_json};
use crate::units::{Bytes, Dollars, DollarsPerHour, Seconds, Watts};
use std::fmt::Write;

/// Arguments of `cosim estimate`.
#[derive(Debug, clap::Args)]
pub struct EstimateArgs {
    #[command(flatten)]
    case: CaseArgs,
    #[command(flatten)]
    speculate: SpeculateArgs,
    #[command(flatten)]
    deploy: DeployArgs,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

pub fn run(args: &EstimateArgs) -> Result<(), Error> {
    let search = args.deploy.search(&args.case, &args.speculate)?;
    let mut case = match &search {
        None => args.case.load()?,
        Some(found) => args.case.load_as(found.best.parallel, found.best.batch)?,
    };
    case.speculated = args.speculate.load(&case, &args.case.model.options())?;
    let (report, context) = evaluate(&case)?;
    let drawn = search.as_ref().map(|s| args.deploy.draw(&case, s)).transpose()?.flatten();
    if args.json {
        return files::print(&json(&report, &context, search.as_ref())?);
    }
    let plans = search.map_or_else(String::new, |s| s.table() + "\n");
    let text = plans + &table(&case, &report, &context) + &drawn.unwrap_or_default();
    files::print(&text)
}

/// The estimate, with the plans that were tried where there was a search.
fn json(
    report: &CostReport,
    context: &EstimateContext<'_>,
    search: Option<&Search>,
) -> Result<String, Error> {
    let failed = |e: serde_json::Error| Error::from(Diagnostic::new(e.to_string()));
    let text = estimate_json(report, context).map_err(failed)?;
    let Some(search) = search else { return Ok(text) };
    let mut value: serde_json::Value = serde_json::from_str(&text).map_err(failed)?;
    value["plans"] = search.json();
    Ok(format!("{value:#}\n"))
}

/// The itemised report of a case, and what is said beside it.
pub fn evaluate(case: &Case) -> Result<(CostReport, EstimateContext<'_>), Error> {
    let estimator = case.estimator()?;
    let mut report = estimator.report(&case.request)?;
    let speculation = speculate::apply(case, &mut report)?;
    let devices = case.plan.parallel.devices();
    let power: Option<Watts> = case.machine.tdp.map(|p| p.value);
    let price: Option<DollarsPerHour> = case.price.as_ref().ok().map(|(_, price)| *price);
    let context = EstimateContext {
        model: &case.architecture.id,
        hardware: &case.machine.id,
        quant: case.plan.scheme.name(),
        levels: case.machine.level_names().collect(),
        slowest_level: &case.machine.levels[estimator.slowest_index()].name,
        economics: Economics::new(&case.request, &report.summary, devices, power, price),
        provenance: estimator.provenance(report.summary.bounds),
        not_modelled: &case.machine.not_modelled,
        fallbacks: estimator.fallbacks(),
        parallel: case.plan.parallel,
        stages: stages(case)?,
        remedy: remedy(case, &report),
        warnings: warnings(case),
        cross_kv: case.cross_kv(),
        speculation,
        shows_times: report.capacity.fits || case.allow_oom,
    };
    Ok((report, context))
}

/// What a device of each stage needs.
fn stages(case: &Case) -> Result<Vec<Memory>, Error> {
    let parallel = &case.plan.parallel;
    let stages = case.plan.footprints().map(|f| Memory::on(f, parallel, &case.request));
    Ok(stages.collect::<Result<_, _>>()?)
}

/// What a person should know about the request itself.
fn warnings(case: &Case) -> Vec<String> {
    let (start, id) = (case.plan.footprint.start(), &case.architecture.id);
    let (asked, declared) = (case.request.longest_context(start), case.architecture.max_context);
    let context = (asked > declared)
        .then(|| format!("context {asked} is beyond the {declared} tokens that {id} declares"));
    let source = case.request.source(start);
    let most = case.architecture.encoder.map(|encoder| encoder.max_source);
    let beyond = most.filter(|most| source > *most);
    let input = beyond.map(|most| {
        format!("input {source} is beyond the {most} positions that {id}'s encoder declares")
    });
    context.into_iter().chain(input).collect()
}

fn remedy(case: &Case, report: &CostReport) -> Option<Remedy> {
    if case.speculated.is_some() {
        return None;
    }
    let with = |scheme: &Scheme| -> Memory {
        let plan = Plan::parallel(case.graphs.parts(), scheme, case.plan.parallel);
        let memory = plan.ok().and_then(|plan| Memory::of(&plan, &case.request).ok());
        memory.unwrap_or(report.summary.memory)
    };
    report.capacity.remedy(&report.summary.memory, &case.plan.scheme, with)
}

fn table(case: &Case, report: &CostReport, context: &EstimateContext<'_>) -> String {
    let mut text = heading(case);
    let mut table = Table::new(vec![
        Column::text("figure"),
        Column::number("value", ""),
        Column::text("remark"),
    ]);
    for row in time_rows(case, report, context) {
        table.rows.push(row.to_vec());
    }
    for row in speculate::rows(context) {
        table.rows.push(row.to_vec());
    }
    for row in memory_rows(report, context) {
        table.rows.push(row.to_vec());
    }
    for row in cost_rows(case, context) {
        table.rows.push(row.to_vec());
    }
    text += &table.to_terminal(terminal::shape());
    text += &remarks(context);
    text
}

/// What was asked, in one line.
pub fn heading(case: &Case) -> String {
    let what = describe(&case.request);
    let fidelity = match case.machine.fidelity {
        crate::hardware::Fidelity::Ideal => " (ideal: efficiencies 1, overheads 0)",
        crate::hardware::Fidelity::Realistic => "",
    };
    let (model, device) = (&case.architecture.name, &case.hardware.name);
    let parallel = &case.plan.parallel;
    let device = match parallel.devices() {
        1 => device.to_string(),
        n => format!("{n} x {device} ({parallel})"),
    };
    format!("{model}, {}, on {device}: {what}{fidelity}\n", case.plan.scheme.name())
}

type Line = [String; 3];

fn line(name: &str, value: impl ToString, remark: impl Into<String>) -> Line {
    [name.to_owned(), value.to_string(), remark.into()]
}

fn time_rows(case: &Case, report: &CostReport, context: &EstimateContext<'_>) -> Vec<Line> {
    if !context.shows_times {
        return vec![line("times", "withheld", "does not fit; --allow-oom shows them")];
    }
    let summary = &report.summary;
    let bound = |b: Option<crate::cost::Bound>| {
        b.map_or(String::new(), |b| format!("mostly {}-bound", b.name(context.slowest_level)))
    };
    let mut rows = vec![];
    if let Some(encode) = summary.encode {
        rows.push(line("encode", encode, "once a request"));
    }
    if let Some(prefill) = summary.prefill {
        let name =
            if summary.encode.is_some() { "TTFT (encode + prefill)" } else { "TTFT (prefill)" };
        rows.push(line(name, prefill, bound(summary.prefill_bound)));
    }
    if let Some(step) = summary.decode_step {
        let batch = case.request.batch() as f64;
        rows.push(line("TPOT", step, bound(summary.decode_bound)));
        rows.push(line("decode", format!("{:.1} tok/s", batch / step.get()), "batch / TPOT"));
    }
    rows.extend(pipeline_row(case, report));
    if let Request::Generation { batch, output, .. } = case.request {
        let rate = batch as f64 * output as f64 / summary.total.get();
        let remark = "output tokens over prefill and decode";
        rows.push(line("throughput", format!("{rate:.1} tok/s"), remark));
    }
    rows
}

/// What micro-batches wait for each other, where there is a pipeline.
fn pipeline_row(case: &Case, report: &CostReport) -> Option<Line> {
    let parallel = &case.plan.parallel;
    let rounds = parallel.micro_batches(case.request.batch());
    if parallel.pipeline == 1 {
        return None;
    }
    let idle = report.phases.iter().map(|phase| {
        let busy = phase.operators.iter().map(|o| o.time).sum::<Seconds>() * rounds as f64;
        let share = 1.0 - busy / (phase.step_time * parallel.pipeline as f64);
        format!("{} {:.1} %", phase.phase.name(), share * 100.0)
    });
    let remark = format!(
        "{} stages, micro-batches of {}",
        parallel.pipeline,
        parallel.micro_batch(case.request.batch())
    );
    Some(line("bubble", idle.collect::<Vec<_>>().join(", "), remark))
}

fn gib(bytes: Bytes) -> String {
    format!("{:.3} GiB", bytes.get() / f64::from(1 << 30))
}

fn memory_rows(report: &CostReport, context: &EstimateContext<'_>) -> Vec<Line> {
    let (memory, capacity) = (&report.summary.memory, &report.capacity);
    let whose = match (context.parallel.devices(), context.stages.len()) {
        (1, _) => "",
        (_, 1) => "per device",
        _ => "per device, of the stage that needs most",
    };
    let cross = context
        .cross_kv
        .map_or(String::new(), |kept| format!("{} of it cross-attention's", gib(kept)));
    let fits = if capacity.fits { "fits" } else { "DOES NOT FIT" };
    vec![
        line("weights", gib(memory.weights), whose),
        line("KV cache", gib(memory.kv), cross),
        line("activations", gib(memory.activations), ""),
        line("memory", gib(memory.total()), format!("of {}: {fits}", gib(capacity.capacity))),
        line("largest batch", capacity.max_batch, "at these lengths"),
    ]
}

fn cost_rows(case: &Case, context: &EstimateContext<'_>) -> Vec<Line> {
    if !context.shows_times {
        return vec![];
    }
    let economics = &context.economics;
    let mut rows = vec![match economics.energy_per_token {
        Some(energy) => line("energy", format!("{energy} / token"), "TDP x time (derived)"),
        None => line("energy", "-", "no TDP: no figure"),
    }];
    let money =
        |value: Option<Dollars>| value.map_or("-".to_owned(), |v| format!("{:.3} $", v.get()));
    let source = match &case.price {
        Ok((name, price)) => format!("at {name}, {price}"),
        Err(reason) => reason.clone(),
    };
    rows.push(line("cost / M tokens", money(economics.per_million), source));
    if matches!(case.request, Request::Generation { .. }) {
        rows.push(line(
            "  input",
            money(economics.per_million_input),
            "prefill time / prompt tokens",
        ));
        rows.push(line("  output", money(economics.per_million_output), "price x TPOT / batch"));
    }
    rows.extend(api_row(case, economics));
    rows
}

/// The request at an API's price against the same request here.
fn api_row(case: &Case, economics: &Economics) -> Option<Line> {
    let Request::Generation { output, .. } = case.request else { return None };
    let api = case.api_price?.of(&case.request)?;
    let Some(per_million) = economics.per_million else {
        let remark = format!("a request costs {:.5} $ there; no hourly price here", api.get());
        return Some(line("API / own cost", "-", remark));
    };
    let own = per_million * (output as f64 / 1e6);
    let remark = format!("a request costs {:.5} $ there, {:.5} $ here", api.get(), own.get());
    Some(line("API / own cost", format!("{:.2} x", api / own), remark))
}

fn remarks(context: &EstimateContext<'_>) -> String {
    let mut text = String::new();
    if let Some(remedy) = &context.remedy {
        let _ = writeln!(text, "It does not fit by {}. What would:", gib(remedy.excess_bytes));
        match remedy.largest_batch {
            Some(batch) => {
                let _ = writeln!(text, "  batch {batch} or less on one device");
            }
            None => text += "  no batch: one sequence is too large already\n",
        }
        let _ = writeln!(text, "  {} such devices, split evenly", remedy.fewest_devices);
        if let Some(format) = &remedy.smaller_format {
            let _ = writeln!(text, "  --quant {format}");
        }
    }
    let because = context.provenance.because.join(", ");
    let _ = writeln!(text, "basis: {} ({because})", context.provenance.basis);
    for warning in &context.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for fallback in &context.fallbacks {
        let _ = writeln!(text, "fallback: {fallback}");
    }
    for missing in context.not_modelled {
        let _ = writeln!(text, "not modelled: {missing}");
    }
    text
}
