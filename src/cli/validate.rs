//! `cosim validate`: whether a kernel's output is right, and if not, why.

use super::error::Error;
use super::files;
use super::golden;
use super::outputs;
use super::terminal;
use crate::diagnostic::Diagnostic;
use crate::report::heat::HeatChart;
use crate::report::verdict::{VerdictReport, VerdictRow};
use crate::validate::{
    Case, Judged, POLICIES, REFERENCES, Reference, Verdict, diagnose, maps, named, watched,
};
use std::path::{Path, PathBuf};

/// Arguments of `cosim validate`.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// Folder of a case, as `cosim golden` writes it
    case: PathBuf,
    #[command(flatten)]
    outputs: outputs::OutputArgs,
    /// Rule by which it is judged
    #[arg(long, default_value = "two-reference")]
    policy: String,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
    /// Folder for heat maps of the errors (SVG) and the verdict (text, JSON)
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// Judges an output.
pub fn run(args: &ValidateArgs) -> Result<(), Error> {
    let policy = named(&args.policy).ok_or_else(|| {
        Diagnostic::unknown("policy", &args.policy, POLICIES.iter().map(|p| p.name))
    })?;
    let case = golden::case(&args.case)?;
    let got = outputs::read(&args.outputs, &case.outputs())?;
    let bar = terminal::steps(REFERENCES);
    let inputs = case.inputs();
    let references = watched(case.as_ref(), &inputs, &|| bar.inc(1));
    let judge =
        |(reference, got): (&Reference, &Vec<f64>)| Verdict::of(policy, &Judged { got, reference });
    let verdicts: Vec<Verdict> = references.iter().zip(&got).map(judge).collect();
    let passed = verdicts.iter().all(|v| v.passed);
    let diagnosis = (!passed).then(|| {
        let mutants = case.mutants();
        bar.inc_length(mutants.len() as u64);
        diagnose(mutants, &inputs, (&got, &references), &|| bar.inc(1))
    });
    bar.finish_and_clear();
    let rows = verdicts
        .iter()
        .zip(&references)
        .map(|(verdict, reference)| VerdictRow { layout: &reference.output.layout, verdict });
    let report = VerdictReport {
        policy: policy.name,
        says: policy.says,
        rows: rows.collect(),
        diagnosis: diagnosis.as_ref(),
    };
    let json = format!("{:#}\n", report.to_json());
    if let Some(folder) = &args.report {
        write_report(folder, case.as_ref(), &report, (&references, &got))?;
    }
    files::print(&if args.json { json } else { report.to_text() })?;
    if passed { Ok(()) } else { Err(Error::Failed) }
}

fn write_report(
    folder: &Path,
    case: &dyn Case,
    report: &VerdictReport<'_>,
    (references, got): (&[Reference], &[Vec<f64>]),
) -> Result<(), Error> {
    for ((row, reference), got) in report.rows.iter().zip(references).zip(got) {
        let maps = maps(&Judged { got, reference });
        let chart = HeatChart {
            title: format!("{}: {}", row.layout.name, row.headline(report.policy)),
            subtitle: case.title(),
            maps: &maps,
        };
        files::write(&folder.join(&row.layout.name).with_extension("svg"), &chart.to_svg())?;
    }
    files::write(&folder.join("verdict.txt"), &report.to_text())?;
    files::write(&folder.join("verdict.json"), &format!("{:#}\n", report.to_json()))
}
