//! `cosim roofline`: the roofline of one case as SVG.

use super::case::{Case, CaseArgs};
use super::error::Error;
use super::estimate::evaluate;
use super::files::{self, svg_path};
use crate::cost::{CostReport, Memory};
use crate::diagnostic::Diagnostic;
use crate::report::memory::{MemoryChart, MemoryStack};
use crate::report::{CaseCharts, EstimateContext, describe};
use clap::ValueEnum;
use std::path::PathBuf;

/// Arguments of `cosim roofline`.
#[derive(Debug, clap::Args)]
pub struct RooflineArgs {
    #[command(flatten)]
    case: CaseArgs,
    /// SVG file to write
    #[arg(short = 'o', long = "svg", value_name = "FILE", value_parser = svg_path)]
    svg: PathBuf,
    /// What to draw
    #[arg(long, value_enum, default_value = "roofline")]
    chart: Chart,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Chart {
    /// Attained rate over arithmetic intensity
    Roofline,
    /// Time by operator
    Breakdown,
    /// Memory against capacity
    Memory,
}

pub fn run(args: &RooflineArgs) -> Result<(), Error> {
    let case = args.case.load()?;
    let (report, context) = evaluate(&case)?;
    let svg = match args.chart {
        Chart::Memory => memory(&case, &report, &context).to_svg(),
        Chart::Roofline => timed(&case, &report, &context, |c| c.roofline().to_svg())?,
        Chart::Breakdown => timed(&case, &report, &context, |c| c.breakdown().to_svg())?,
    };
    files::write(&args.svg, &svg)?;
    files::print(&format!("wrote {}\n", args.svg.display()))
}

/// A chart of times, where they are shown.
fn timed(
    case: &Case,
    report: &CostReport,
    context: &EstimateContext<'_>,
    draw: impl Fn(&CaseCharts<'_>) -> String,
) -> Result<String, Error> {
    if !context.shows_times {
        let message = format!("{} do not fit {}", report.summary.memory.total(), case.machine.id);
        let hint = format!(
            "--allow-oom draws it all the same; the largest batch is {}",
            report.capacity.max_batch
        );
        return Err(Diagnostic::new(message).hint(hint).into());
    }
    let estimator = case.estimator()?;
    Ok(draw(&CaseCharts {
        model: &case.architecture.name,
        device: &case.devices(),
        machine: &case.machine,
        estimator: &estimator,
        report,
        context,
    }))
}

/// A bar per device that holds other bytes than the rest: one per stage of a pipeline.
fn memory(case: &Case, report: &CostReport, context: &EstimateContext<'_>) -> MemoryChart {
    let (id, parallel) = (&case.machine.id, &context.parallel);
    let alike = parallel.devices() / parallel.pipeline;
    let each = if alike > 1 { format!(", each of {alike}") } else { String::new() };
    let stack = |label: String, memory: &Memory| MemoryStack {
        label,
        parts: memory.parts(),
        capacity: report.capacity.capacity,
    };
    let stacks = match context.stages.as_slice() {
        [] | [_] => vec![stack(format!("{id}{each}"), &report.summary.memory)],
        stages => {
            let of = |(i, memory)| stack(format!("{id}, stage {}{each}", i + 1), memory);
            stages.iter().enumerate().map(of).collect()
        }
    };
    MemoryChart {
        title: format!("{} on {}: memory", case.architecture.name, case.devices()),
        subtitle: format!("{}, {}", context.quant, describe(&case.request)),
        stacks,
        notes: vec![],
    }
}
