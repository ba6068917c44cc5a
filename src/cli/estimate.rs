//! `cosim estimate`: one request on one device.

use super::case::{Case, CaseArgs};
use super::deploy::{DeployArgs, Search};
use super::error::Error;
use super::files;
use super::speculate::{self, SpeculateArgs};
use super::surface;
use super::terminal;
use crate::cost::speculative::Speculator;
use crate::cost::{ApiCost, ApiPrice, CostReport, Economics, Memory, Power, Remedy, Request};
use crate::diagnostic::Diagnostic;
use crate::dtype::Scheme;
use crate::mapping::Plan;
use crate::report::{Column, EstimateContext, Table, describe, dollars, estimate_json};
use crate::tensor::{KvLayout, Placement};
use crate::units::{Bytes, Dollars, DollarsPerHour, Seconds};
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
    /// API price to compare with, $ per 1000 input and output tokens: 0.03,0.06
    #[arg(long, value_parser = api_price, value_name = "IN,OUT")]
    api_price: Option<ApiPrice>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

fn api_price(text: &str) -> Result<ApiPrice, String> {
    let number =
        |part: &str| part.trim().parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
    let pair = text.split_once(',').and_then(|(i, o)| Some((number(i)?, number(o)?)));
    let (input, output) =
        pair.ok_or("expected two prices in $ per 1000 tokens, such as 0.03,0.06")?;
    Ok(ApiPrice { input: Dollars::new(input), output: Dollars::new(output) })
}

pub fn run(args: &EstimateArgs) -> Result<(), Error> {
    let search = args.deploy.search(&args.case, &args.speculate)?;
    let mut case = match &search {
        None => args.case.load()?,
        Some(found) => args.case.load_as(found.best.parallel, found.best.batch)?,
    };
    if args.api_price.is_some() && !matches!(case.request, Request::Generation { .. }) {
        let message = "--api-price compares whole requests, not a phase";
        return Err(Diagnostic::new(message).hint("give --prompt and --output").into());
    }
    case.speculated = args.speculate.load(&case, &args.case.model.options())?;
    let (report, mut context) = evaluate(&case)?;
    context.api = args.api_price.and_then(|p| p.compare(&case.request, &context.economics));
    let surface = surface::write(&args.speculate.surface, &case, &context)?;
    let drawn = search.as_ref().map(|s| args.deploy.draw(&case, s)).transpose()?.flatten();
    if args.json {
        return files::print(&json(&report, &context, search.as_ref())?);
    }
    let plans = search.map_or_else(String::new, |s| s.table() + "\n");
    let text = plans + &table(&case, &report, &context) + &surface + &drawn.unwrap_or_default();
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
    let power = Power::of(&case.machine);
    let price: Option<DollarsPerHour> = case.price.as_ref().ok().map(|(_, price)| *price);
    let stages = stages(case, speculation.as_ref().map(|(found, _)| found.cycle.gamma))?;
    let context = EstimateContext {
        model: &case.architecture.id,
        hardware: &case.machine.id,
        quant: case.plan.scheme.name(),
        levels: case.machine.level_names().collect(),
        slowest_level: &case.machine.levels[estimator.slowest_index()].name,
        economics: Economics::new(&case.request, &report.summary, devices, power, price),
        provenance: estimator.provenance(report.summary.bounds),
        not_modelled: &case.machine.not_modelled,
        fallbacks: estimator.fallbacks().into_iter().chain(case.times.fallback()).collect(),
        placement: case.plan.placement,
        kv_slots: kv_slots(case),
        parallel: case.plan.parallel,
        heads: case.architecture.head_form().to_string(),
        window: case.architecture.window_pattern(),
        options: case.options,
        api: None,
        remedy: remedy(case, &report),
        warnings: warnings(case, &report),
        cross_kv: case.cross_kv(&stages),
        stages,
        speculation,
        fidelity: estimator.fidelity(),
        shows_times: report.capacity.fits || case.allow_oom,
    };
    Ok((report, context))
}

/// KV slots held for a sequence in a layer without a window.
fn kv_slots(case: &Case) -> Option<u64> {
    let (start, layout) = (case.plan.footprint.start(), &case.plan.placement.layout);
    case.request.kv_slots(start, layout, 0).ok()
}

/// What a device of each stage needs, with the draft of so many tokens beside it.
fn stages(case: &Case, gamma: Option<u64>) -> Result<Vec<Memory>, Error> {
    if let (Some(what), Some(gamma)) = (&case.speculated, gamma) {
        let speculator = Speculator::new(case.estimator()?, what)?;
        let stages = speculator.stages(&case.request, gamma)?;
        return Ok(stages.into_iter().map(|(memory, _)| memory).collect());
    }
    let parallel = &case.plan.parallel;
    let stages = case.plan.footprints().map(|f| Memory::on(f, parallel, &case.request));
    Ok(stages.collect::<Result<_, _>>()?)
}

/// What a person should know about the request itself.
fn warnings(case: &Case, report: &CostReport) -> Vec<String> {
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
    context.into_iter().chain(input).chain(doubtful_fit(case, report)).collect()
}

/// What is said where memory lies between a capacity's decimal and its binary reading (A52).
fn doubtful_fit(case: &Case, report: &CostReport) -> Option<String> {
    let (least, most) = (case.machine.capacity, report.capacity.uncertain_up_to?);
    let (needed, id) = (gib(report.summary.memory.total()), &case.machine.id);
    Some(format!(
        "{id} is only known to have {least}, which may be {} or up to {}: whether {needed} fit is not known",
        gib(least),
        gib(most)
    ))
}

fn remedy(case: &Case, report: &CostReport) -> Option<Remedy> {
    if case.speculated.is_some() {
        return None;
    }
    let with = |scheme: &Scheme| -> Memory {
        let plan = Plan::parallel(case.graphs.parts(), scheme, case.plan.parallel);
        let plan = plan.ok().map(|plan| plan.placed(case.plan.placement));
        let memory = plan.and_then(|plan| Memory::of(&plan, &case.request).ok());
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
    for row in memory_rows(case, report, context) {
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
    let fidelity = case.times.said(&case.machine);
    let (model, devices) = (&case.architecture.name, case.devices());
    format!("{model}, {}, on {devices}: {what}{fidelity}\n", case.plan.scheme.name())
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
    let ranges = summary.ranges.unwrap_or_default();
    // Of the kernels' times, what 80 % of measurements lie between.
    let within = |remark: String, range: Option<[Seconds; 2]>| match range {
        Some([low, high]) => format!("{remark}; 80 %: {low} to {high}"),
        None => remark,
    };
    let mut rows = vec![];
    if let Some(encode) = summary.encode {
        rows.push(line("encode", encode, "once a request"));
    }
    if let Some(prefill) = summary.prefill {
        let name =
            if summary.encode.is_some() { "TTFT (encode + prefill)" } else { "TTFT (prefill)" };
        rows.push(line(name, prefill, within(bound(summary.prefill_bound), ranges.prefill)));
    }
    if let Some(step) = summary.decode_step {
        let batch = case.request.batch() as f64;
        rows.push(line("TPOT", step, within(bound(summary.decode_bound), ranges.decode_step)));
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
        let kernels = phase.operators.iter().filter(|o| o.kernel.is_some());
        let busy = kernels.map(|o| o.time).sum::<Seconds>() * rounds as f64;
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

const GIB: f64 = (1u64 << 30) as f64;

/// A sum in GiB; where that would leave less than two digits, in MiB or KiB.
fn gib(bytes: Bytes) -> String {
    let (unit, name) = match bytes.get() {
        n if n >= 0.01 * GIB => (GIB, "GiB"),
        n if n >= 0.01 * 1024f64.powi(2) => (1024f64.powi(2), "MiB"),
        _ => (1024.0, "KiB"),
    };
    format!("{:.3} {name}", bytes.get() / unit)
}

fn memory_rows(case: &Case, report: &CostReport, context: &EstimateContext<'_>) -> Vec<Line> {
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
    let mut rows =
        vec![line("weights", gib(memory.weights), whose), line("KV cache", gib(memory.kv), cross)];
    rows.extend(cache_rows(memory, context));
    rows.extend(sharing_rows(case, memory));
    rows.extend([
        line("activations", gib(memory.activations), ""),
        line("memory", gib(memory.total()), format!("of {}: {fits}", gib(capacity.capacity))),
        line("largest batch", capacity.max_batch, "at these lengths"),
    ]);
    rows
}

/// What a layout of the cache leaves empty, and what lies in host memory; none by default.
fn cache_rows(memory: &Memory, context: &EstimateContext<'_>) -> Vec<Line> {
    let Placement { layout, offload } = context.placement;
    let mut rows = vec![];
    if let (true, Some(slots)) = (layout != KvLayout::default(), context.kv_slots) {
        let remark = format!("{layout}: {slots} slots a sequence, internal fragmentation");
        rows.push(line("  unused", gib(memory.kv_unused), remark));
    }
    if offload.any() {
        let remark = format!("{offload}, over the host link in every step");
        rows.push(line("  in host memory", gib(memory.offloaded), remark));
    }
    rows
}

/// What sequences share of the cache; none where they share nothing.
fn sharing_rows(case: &Case, memory: &Memory) -> Vec<Line> {
    let layout = &case.plan.placement.layout;
    let Some((sharing, block)) = layout.shared() else { return vec![] };
    let start = case.plan.footprint.start();
    let cached = sharing.cached(case.request.prompt(start), block);
    let mut rows = vec![];
    if sharing.prefix > 0 {
        let remark = format!("held once: {cached} tokens that no prompt computes");
        rows.push(line("  prefix", gib(memory.kv_common), remark));
    }
    if sharing.sequences.get() > 1 {
        let (n, kind) = (sharing.sequences, sharing.branching.name());
        rows.push(line(
            "  requests",
            layout.requests(case.request.batch()),
            format!("of up to {n} {kind}, with one prompt each"),
        ));
    }
    rows
}

fn cost_rows(case: &Case, context: &EstimateContext<'_>) -> Vec<Line> {
    if !context.shows_times {
        return vec![];
    }
    let economics = &context.economics;
    let mut rows = vec![match economics.energy_per_token {
        Some(energy) => line("energy", format!("{energy} / token"), energy_from(case)),
        None => line("energy", "-", "no TDP: no figure"),
    }];
    let money =
        |value: Option<Dollars>| value.map_or("-".to_owned(), |v| format!("{} $", dollars(v)));
    let devices = case.plan.parallel.devices();
    let all = if devices > 1 { format!("{devices} x ") } else { String::new() };
    let source = match &case.price {
        Ok((name, price)) => format!("at {name}, {all}{price}"),
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
    rows.extend(context.api.as_ref().map(api_row));
    rows
}

/// What an energy is known from.
const fn energy_from(case: &Case) -> &'static str {
    match (case.machine.draw, &case.speculated) {
        (Some(_), None) => "measured draw: clocks, bytes, engines (derived)",
        _ => "TDP x time (derived)",
    }
}

/// The request at an API's price against the same request here.
fn api_row(api: &ApiCost) -> Line {
    let there = format!("a request costs {:.5} $ there", api.there.get());
    match api.here {
        None => line("API / own cost", "-", format!("{there}; no hourly price here")),
        Some(here) => {
            let remark = format!("{there}, {:.5} $ here", here.get());
            line("API / own cost", format!("{:.2} x", api.there / here), remark)
        }
    }
}

/// What the result rests on.
pub fn basis(context: &EstimateContext<'_>) -> String {
    let because = context.provenance.because.join(", ");
    format!("basis: {} ({because})\n", context.provenance.basis)
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
    text += &basis(context);
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
