//! `cosim calibrate`: parameters of a device under a stack from measurements.

use super::accuracy::known_stack;
use super::error::Error;
use super::files;
use super::measured::{Device, MeasuredArgs, device, not_mapped};
use super::terminal;
use crate::calibrate::{
    FitError, LeftOut, Measured, Outcome, Predictor, Row, Score, fit_all, fitted, groups,
    leave_one_out, median, ticks, unseen,
};
use crate::diagnostic::Diagnostic;
use crate::mapped::Kind;
use crate::mapped::calibration::Calibration;
use crate::mapped::calibration::bundled::LEFT_OUT;
use crate::report::accuracy::scores_table;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `cosim calibrate`.
#[derive(Debug, clap::Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    measured: MeasuredArgs,
    /// Device that the rows were measured on: id or profile YAML
    #[arg(long, required_unless_present = "leave_one_out")]
    hardware: Option<String>,
    /// Name of the software stack
    #[arg(long, required_unless_present = "leave_one_out")]
    stack: Option<String>,
    /// Only rows of these devices of the tables; all unless stated
    #[arg(long, value_name = "NAME")]
    device: Vec<String>,
    /// Score every device with what the others tell, as if it had never been measured
    #[arg(long, conflicts_with_all = ["hardware", "stack"])]
    leave_one_out: bool,
    /// Day of the fit, YYYY-MM-DD; today unless stated
    #[arg(long)]
    date: Option<String>,
    /// Where to write the calibration
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &CalibrateArgs) -> Result<(), Error> {
    let mut tables = args.measured.read()?;
    let names: BTreeSet<String> =
        tables.iter().flat_map(|t| &t.rows).map(|r| r.device.to_string()).collect();
    for wanted in &args.device {
        if !names.contains(wanted) {
            let names = names.iter().map(String::as_str);
            return Err(Diagnostic::unknown("device of the tables", wanted, names).into());
        }
    }
    if !args.device.is_empty() {
        let wanted = |row: &Row| args.device.iter().any(|d| *d == *row.device);
        tables.iter_mut().for_each(|t| t.rows.retain(wanted));
    }
    if args.leave_one_out { args.left_out(&tables) } else { args.fit(&tables) }
}

impl CalibrateArgs {
    fn date(&self) -> String {
        let today = || time::OffsetDateTime::now_utc().date().to_string();
        self.date.clone().unwrap_or_else(today)
    }

    fn fit(&self, tables: &[Measured]) -> Result<(), Error> {
        let (hardware, stack) =
            (self.hardware.as_deref().unwrap_or(""), self.stack.as_deref().unwrap_or(""));
        if stack == LEFT_OUT || stack.trim().is_empty() {
            return Err(Diagnostic::new(format!("`{stack}` is no name of a stack")).into());
        }
        let Device { id, chip } = device(hardware)?;
        let chip = chip.map_err(not_mapped)?;
        let rows: Vec<Row> = tables.iter().flat_map(|t| t.rows.iter().cloned()).collect();
        let names: BTreeSet<&str> = rows.iter().map(|r| r.device.as_ref()).collect();
        if names.len() > 1 {
            let names: Vec<&str> = names.into_iter().collect();
            let message = format!("the tables hold {} devices: {}", names.len(), names.join(", "));
            return Err(Diagnostic::new(message).hint("choose with --device NAME").into());
        }
        let tuning = self.measured.tuning()?;
        let predictor = Predictor { chip: &chip, hardware: &id, stack, tuning: &tuning };
        let bar = terminal::steps(groups(&rows).len() as u64);
        let outcomes = fit_all(&predictor, &rows, &|_| bar.inc(1));
        bar.finish_and_clear();
        let mut text = table(&predictor, &rows, &outcomes);
        let kernels = fitted(&outcomes);
        if kernels.is_empty() {
            let why: Vec<String> = failures(&outcomes).collect();
            let message = format!("nothing could be fitted: {}", why.join("; "));
            return Err(Diagnostic::new(message).into());
        }
        for table in tables {
            for warning in &table.warnings {
                let _ = writeln!(text, "{}: {warning}", table.file);
            }
        }
        for why in failures(&outcomes) {
            let _ = writeln!(text, "not fitted: {why}");
        }
        let data = tables.iter().filter(|t| !t.rows.is_empty()).map(origin).collect();
        let calibration = Calibration {
            hardware: id.clone(),
            stack: stack.to_owned(),
            date: self.date(),
            data,
            kernels,
        };
        self.write(&calibration, &mut text)?;
        files::print(&text)
    }

    fn write(&self, calibration: &Calibration, said: &mut String) -> Result<(), Error> {
        let files = self.output.iter().map(|path| (path.clone(), calibration.to_yaml()));
        files::write_each(files.collect::<Vec<_>>(), said)
    }

    fn left_out(&self, tables: &[Measured]) -> Result<(), Error> {
        let devices = self.measured.devices(tables.iter().flat_map(|t| &t.rows))?;
        let tuning = self.measured.tuning()?;
        let mut rows: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
        for row in tables.iter().flat_map(|t| &t.rows) {
            let name = devices.keys().find(|d| **d == *row.device).map_or("", String::as_str);
            rows.entry(name).or_default().push(row.clone());
        }
        let stacks: BTreeMap<&str, String> = rows
            .iter()
            .map(|(name, rows)| {
                let stack = rows.iter().find_map(|r| r.stack.as_deref()).unwrap_or("");
                (*name, stack.to_owned())
            })
            .collect();
        for stack in stacks.values() {
            known_stack(stack, &tuning)?;
        }
        let mut measured = vec![];
        for (name, rows) in &rows {
            let Device { id, chip } = &devices[*name];
            let chip = chip.as_ref().map_err(|e| not_mapped(e.clone()))?;
            let predictor = Predictor { chip, hardware: id, stack: &stacks[name], tuning: &tuning };
            measured.push((predictor, rows.as_slice(), (*name).to_owned()));
        }
        let bar = terminal::steps(ticks(&measured));
        let (left, shared) = leave_one_out(&measured, &|| bar.inc(1));
        bar.finish_and_clear();
        let scores: Vec<Score> = left.iter().map(|l| l.score.clone()).collect();
        let mut text = scores_table(&scores).to_terminal(terminal::shape()) + &medians(&left);
        let calibration = Calibration {
            hardware: "any".to_owned(),
            stack: LEFT_OUT.to_owned(),
            date: self.date(),
            data: tables.iter().map(origin).collect(),
            kernels: shared,
        };
        self.write(&calibration, &mut text)?;
        files::print(&text)
    }
}

/// Where a table's rows come from, in one line.
fn origin(table: &Measured) -> String {
    let of = |pick: fn(&Row) -> &str| -> String {
        let names: BTreeSet<&str> = table.rows.iter().map(pick).collect();
        let names: Vec<&str> = names.into_iter().filter(|n| !n.is_empty()).take(6).collect();
        names.join(", ")
    };
    let (devices, software) = (of(|r| &r.device), of(|r| &r.software));
    format!("{}: {} rows of {devices} ({software})", table.op, table.rows.len())
}

type Outcomes = [(Kind, String, Result<Outcome, FitError>)];

fn failures(outcomes: &Outcomes) -> impl Iterator<Item = String> {
    outcomes.iter().filter_map(|(kind, format, outcome)| {
        let error = outcome.as_ref().err()?;
        Some(format!("{} {format}: {error}", kind.name()))
    })
}

/// Scores of the half that the other half's fit has not seen, and the parameters of all rows.
fn table(predictor: &Predictor<'_>, rows: &[Row], outcomes: &Outcomes) -> String {
    let scores = unseen(predictor, rows, outcomes);
    let mut text = format!(
        "fitted to one half of the shapes, scored on the other\n{}\n\
         parameters of all rows (relative standard error)\n",
        scores_table(&scores).to_terminal(terminal::shape())
    );
    for (kind, format, outcome) in outcomes {
        if let Ok(outcome) = outcome {
            let _ = writeln!(text, "  {} {format}: {}", kind.name(), described(*kind, outcome));
        }
    }
    text
}

fn described(kind: Kind, outcome: &Outcome) -> String {
    let fitted = &outcome.fitted;
    let each = kind.parameters().iter().zip(&fitted.values).zip(&fitted.errors);
    let each = each.map(|((parameter, value), error)| {
        let value = parameter.show(*value);
        match error {
            Some(error) if *error > 1.0 => {
                format!("{} {value} (uncertain beyond a factor of two)", parameter.name)
            }
            Some(error) => format!("{} {value} ({:.0} %)", parameter.name, 100.0 * error),
            None => format!("{} {value} (held: these rows do not tell it)", parameter.name),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Medians over the devices of each kind and format.
fn medians(left: &[LeftOut]) -> String {
    let mut groups: BTreeMap<(Kind, &str), Vec<&Score>> = BTreeMap::new();
    for one in left {
        groups.entry((one.kind, one.format.as_str())).or_default().push(&one.score);
    }
    let mut text = String::from("\nmedian over the devices: median / mean APE\n");
    for ((kind, format), scores) in groups {
        let median = |of: fn(&Score) -> f64| median(scores.iter().map(|s| of(s)).collect());
        let _ = writeln!(
            text,
            "  {} {format}: {:.1} / {:.1} % ({} devices)",
            kind.name(),
            median(|s| s.median_ape),
            median(|s| s.mean_ape),
            scores.len()
        );
    }
    text
}
