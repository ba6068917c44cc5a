//! `cosim explain`: where the time of a case goes, operator by operator.

use super::case::{Case, CaseArgs};
use super::error::Error;
use super::estimate::{basis, evaluate, heading};
use super::files;
use super::terminal;
use crate::cost::{CostReport, Estimator, OperatorCost, PhaseCost};
use crate::diagnostic::Diagnostic;
use crate::hardware::{Fidelity, Machine};
use crate::report::{
    Column, EstimateContext, Table, estimate_json, formula, mapping_table, share_bar,
};
use crate::tensor::Phase;
use std::fmt::Write;

/// Arguments of `cosim explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    case: CaseArgs,
    /// Print the formula of one operator with the numbers put in
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// Machine-readable output
    #[arg(long, conflicts_with = "operator")]
    json: bool,
}

pub fn run(args: &ExplainArgs) -> Result<(), Error> {
    let case = args.case.load()?;
    let (report, context) = evaluate(&case)?;
    if !context.shows_times {
        let total = report.summary.memory.total();
        let message =
            format!("{total} do not fit the {} of {}", report.capacity.capacity, case.machine.id);
        let hint = format!(
            "--allow-oom explains it all the same; the largest batch is {}",
            report.capacity.max_batch
        );
        return Err(Diagnostic::new(message).hint(hint).into());
    }
    if args.json {
        let json = estimate_json(&report, &context);
        return files::print(&json.map_err(|e| Diagnostic::new(e.to_string()))?);
    }
    let text = match &args.operator {
        Some(name) => one_operator(&case, &report, &context, name)?,
        None => all_operators(&case, &report, &context)?,
    };
    files::print(&text)
}

fn all_operators(
    case: &Case,
    report: &CostReport,
    context: &EstimateContext<'_>,
) -> Result<String, Error> {
    let ideal_machine = Machine::compile(&case.hardware, Fidelity::Ideal);
    let ideal = Estimator::new(&case.plan, &ideal_machine)?.report(&case.request)?;
    let mut text = heading(case);
    for (phase, light) in report.phases.iter().zip(&ideal.phases) {
        let steps = if phase.steps > 1 {
            format!(", mean of {} steps", phase.steps)
        } else {
            String::new()
        };
        let _ = writeln!(text, "\n{}: {}{steps}", phase.phase.name(), phase.step_time);
        text += &phase_table(phase, light, context).to_terminal(terminal::shape());
        if let Some(table) = mapping_table(phase) {
            let when = if phase.steps > 1 { ", in the middle step" } else { "" };
            let _ = writeln!(text, "\nhow its kernels are mapped{when}");
            text += &table.to_terminal(terminal::shape());
        }
    }
    text += "\nbytes pass every level: ";
    text += &context.levels.join(", ");
    text += "; % light = ideal time / time (efficiencies 1, overheads 0), above 100 where a cache holds what the ideal reads from DRAM\n";
    text += &basis(context);
    for fallback in &context.fallbacks {
        let _ = writeln!(text, "fallback: {fallback}");
    }
    Ok(text)
}

fn phase_table(phase: &PhaseCost, ideal: &PhaseCost, context: &EstimateContext<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::text("operator"),
        Column::number("count", ""),
        Column::number("operations", ""),
        Column::number("bytes", ""),
        Column::number("FLOP/B", ""),
        Column::number("time", ""),
        Column::number("share", ""),
        Column::text(""),
        Column::text("bound"),
        Column::number("% light", ""),
    ]);
    for (i, operator) in phase.operators.iter().enumerate() {
        let light = ideal.operators.get(i).map_or(0.0, |light| light.time / operator.time);
        table.rows.push(vec![
            operator.name.clone(),
            operator.count.to_string(),
            operator.flops().to_string(),
            operator.bytes.to_string(),
            operator.intensity().map_or("-".to_owned(), |i| format!("{:.1}", i.get())),
            operator.time.to_string(),
            format!("{:.1} %", operator.share * 100.0),
            share_bar(operator.share, 12),
            operator.bound_name(context.slowest_level).to_owned(),
            format!("{:.0}", light * 100.0),
        ]);
    }
    table
}

fn one_operator(
    case: &Case,
    report: &CostReport,
    context: &EstimateContext<'_>,
    name: &str,
) -> Result<String, Error> {
    let estimator = case.estimator()?;
    let request = estimator.micro_batch(&case.request);
    let steps = request.steps(&case.plan.footprint)?;
    let mut text = heading(case);
    let mut found = false;
    for phase in &report.phases {
        let step = match phase.phase {
            Phase::Encode => steps.encode.clone(),
            Phase::Prefill => steps.prefill.clone(),
            Phase::Decode => steps.decode.map(|span| span.middle()),
        };
        let Some(step) = step else { continue };
        let kernels = phase.operators.iter().filter_map(|o| Some((o, o.kernel?)));
        let matching = |(o, kernel): &(&OperatorCost, usize)| {
            o.name == name || case.plan.has_node(*kernel, name)
        };
        for (_, kernel) in kernels.filter(matching) {
            found = true;
            text += &formula(&case.plan, &case.machine, &estimator, phase.phase, kernel, &step);
        }
    }
    let names = report.phases.iter().flat_map(|p| &p.operators).map(|o| o.name.as_str());
    let _ = context;
    if found { Ok(text) } else { Err(Diagnostic::unknown("operator", name, names).into()) }
}
