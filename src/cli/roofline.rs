//! `cosim roofline`: the roofline of one case as SVG.

use super::case::CaseArgs;
use super::error::Error;
use super::estimate::evaluate;
use super::files;
use crate::diagnostic::Diagnostic;
use crate::report::CaseCharts;
use clap::ValueEnum;
use std::path::PathBuf;

/// Arguments of `cosim roofline`.
#[derive(Debug, clap::Args)]
pub struct RooflineArgs {
    #[command(flatten)]
    case: CaseArgs,
    /// SVG file to write
    #[arg(short = 'o', long = "svg", value_name = "FILE")]
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
}

pub fn run(args: &RooflineArgs) -> Result<(), Error> {
    let case = args.case.load()?;
    let (report, context) = evaluate(&case)?;
    if !context.shows_times {
        let message = format!("{} do not fit {}", report.summary.memory.total(), case.machine.id);
        let hint = format!(
            "--allow-oom draws it all the same; the largest batch is {}",
            report.capacity.max_batch
        );
        return Err(Diagnostic::new(message).hint(hint).into());
    }
    let estimator = case.estimator()?;
    let charts = CaseCharts {
        model: &case.architecture.name,
        device: &case.hardware.name,
        machine: &case.machine,
        estimator: &estimator,
        report: &report,
        context: &context,
    };
    let svg = match args.chart {
        Chart::Roofline => charts.roofline().to_svg(),
        Chart::Breakdown => charts.breakdown().to_svg(),
    };
    files::write(&args.svg, &svg)?;
    files::print(&format!("wrote {}\n", args.svg.display()))
}
