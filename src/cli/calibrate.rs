//! `cosim calibrate`: parameters of a device under a stack from measurements.

use super::accuracy::known_stack;
use super::calibrate_requests as requests;
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
use crate::mapped::calibration::bundled::LEFT_OUT;
use crate::mapped::calibration::{Calibration, Kernels, Tuning};
use crate::report::accuracy::scores_table;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `cosim calibrate`.
#[derive(Debug, clap::Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    measured: MeasuredArgs,
    /// Device that the rows were measured on: id or profile YAML; of requests also several, which share what
    /// the host takes
    #[arg(long, required_unless_present = "leave_one_out", value_delimiter = ',')]
    hardware: Vec<String>,
    /// Name of the software stack
    #[arg(long, required_unless_present = "leave_one_out")]
    stack: Option<String>,
    /// Only rows of these devices of the tables; all unless stated
    #[arg(long, value_name = "NAME")]
    device: Vec<String>,
    /// The stack whose kernels this one has where the tables time none
    #[arg(long, value_name = "STACK", conflicts_with = "leave_one_out")]
    like: Option<String>,
    /// Fit how fast query heads read keys that they do not share: a stack whose decode kernels have a CTA for
    /// every query head
    #[arg(long, conflicts_with = "leave_one_out")]
    apart: bool,
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
    let kernels = tables.iter().flat_map(|t| &t.rows).map(|r| r.device.to_string());
    let requests = tables.iter().flat_map(|t| &t.requests).map(|r| r.device.to_string());
    let names: BTreeSet<String> = kernels.chain(requests).collect();
    for wanted in &args.device {
        if !names.contains(wanted) {
            let names = names.iter().map(String::as_str);
            return Err(Diagnostic::unknown("device of the tables", wanted, names).into());
        }
    }
    if !args.device.is_empty() {
        let wanted = |name: &str| args.device.iter().any(|d| d == name);
        for table in &mut tables {
            table.rows.retain(|row| wanted(&row.device));
            table.requests.retain(|row| wanted(&row.device));
        }
    }
    if args.leave_one_out { args.left_out(&tables) } else { args.fit(&tables) }
}

impl CalibrateArgs {
    fn date(&self) -> String {
        let today = || time::OffsetDateTime::now_utc().date().to_string();
        self.date.clone().unwrap_or_else(today)
    }

    fn fit(&self, tables: &[Measured]) -> Result<(), Error> {
        let stack = self.stack.as_deref().unwrap_or("");
        if stack == LEFT_OUT || stack.trim().is_empty() || stack.contains(['/', '\\']) {
            return Err(Diagnostic::new(format!("`{stack}` is no name of a stack")).into());
        }
        let devices: Vec<Device> =
            self.hardware.iter().map(|name| device(name)).collect::<Result<_, _>>()?;
        let tuning = self.measured.tuning()?;
        let mut text = String::new();
        let mut found: Vec<Kernels> = vec![Kernels::new(); devices.len()];
        let mut tuned = tuning.clone();
        if tables.iter().any(|t| !t.rows.is_empty()) {
            let [only] = devices.as_slice() else {
                let message = "kernels' rows are fitted to one device at a time";
                return Err(Diagnostic::new(message).hint("name one with --hardware").into());
            };
            found[0] = self.fit_kernels(tables, only, &tuning, &mut text)?;
            let own = Calibration::of(&only.id, stack, found[0].clone());
            tuned = tuning.with(only.chip.clone().map_err(not_mapped)?, own);
        }
        if let Some(like) = &self.like {
            known_stack(like, &tuned)?;
            for device in &devices {
                let known = found.iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
                let mut own = Calibration::of(&device.id, stack, known);
                own.like = Some(like.clone());
                tuned = tuned.with(device.chip.clone().map_err(not_mapped)?, own);
            }
        }
        let of_kernels = tables.iter().filter(|t| !t.rows.is_empty()).map(origin_of_kernels);
        let of_kernels: Vec<String> = of_kernels.collect();
        let mut data: Vec<Vec<String>> = vec![of_kernels; devices.len()];
        let of_requests = requests::fit(tables, &devices, (stack, &tuned), self.apart, &mut text)?;
        for ((all, data), (more, from)) in found.iter_mut().zip(&mut data).zip(of_requests) {
            all.extend(more);
            data.push(from);
        }
        for warning in tables.iter().flat_map(|t| t.warnings.iter().map(|w| (&t.file, w))) {
            let _ = writeln!(text, "{}: {}", warning.0, warning.1);
        }
        let all = devices.iter().zip(found).zip(data);
        let calibrations = all.map(|((device, kernels), data)| Calibration {
            hardware: device.id.clone(),
            stack: stack.to_owned(),
            like: self.like.clone(),
            date: self.date(),
            data,
            kernels,
        });
        self.write(&calibrations.collect::<Vec<_>>(), &mut text)?;
        files::print(&text)
    }

    /// Parameters of the kernels that were timed one by one.
    fn fit_kernels(
        &self,
        tables: &[Measured],
        device: &Device,
        tuning: &Tuning,
        text: &mut String,
    ) -> Result<Kernels, Error> {
        let stack = self.stack.as_deref().unwrap_or("");
        let chip = device.chip.as_ref().map_err(|e| not_mapped(e.clone()))?;
        let rows: Vec<Row> = tables.iter().flat_map(|t| t.rows.iter().cloned()).collect();
        let names: BTreeSet<&str> = rows.iter().map(|r| r.device.as_ref()).collect();
        if names.len() > 1 {
            let names: Vec<&str> = names.into_iter().collect();
            let message = format!("the tables hold {} devices: {}", names.len(), names.join(", "));
            return Err(Diagnostic::new(message).hint("choose with --device NAME").into());
        }
        let predictor = Predictor { chip, hardware: &device.id, stack, tuning };
        let bar = terminal::steps(groups(&rows).len() as u64);
        let outcomes = fit_all(&predictor, &rows, &|_| bar.inc(1));
        bar.finish_and_clear();
        *text += &table(&predictor, &rows, &outcomes);
        let kernels = fitted(&outcomes);
        if kernels.is_empty() {
            let why: Vec<String> = failures(&outcomes).collect();
            let message = format!("nothing could be fitted: {}", why.join("; "));
            return Err(Diagnostic::new(message).into());
        }
        for why in failures(&outcomes) {
            let _ = writeln!(text, "not fitted: {why}");
        }
        Ok(kernels)
    }

    /// One file; of several devices one each in a folder.
    fn write(&self, calibrations: &[Calibration], said: &mut String) -> Result<(), Error> {
        let Some(path) = &self.output else { return Ok(()) };
        let files = calibrations.iter().map(|c| match calibrations.len() {
            1 => (path.clone(), c.to_yaml()),
            _ => (path.join(format!("{}.{}.yaml", c.hardware, c.stack)), c.to_yaml()),
        });
        files::write_each(files.collect::<Vec<_>>(), said)
    }

    fn left_out(&self, tables: &[Measured]) -> Result<(), Error> {
        let devices = self.measured.devices(tables)?;
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
            let Device { id, chip, .. } = &devices[*name];
            let chip = chip.as_ref().map_err(|e| not_mapped(e.clone()))?;
            let predictor = Predictor { chip, hardware: id, stack: &stacks[name], tuning: &tuning };
            measured.push((predictor, rows.as_slice(), (*name).to_owned()));
        }
        let bar = terminal::steps(ticks(&measured));
        let (left, shared) = leave_one_out(&measured, &|| bar.inc(1));
        bar.finish_and_clear();
        if left.is_empty() {
            let message =
                "no kind of kernel has rows of two devices, of which one could be left out";
            return Err(Diagnostic::new(message).into());
        }
        let scores: Vec<Score> = left.iter().map(|l| l.score.clone()).collect();
        let mut text = scores_table(&scores).to_terminal(terminal::shape()) + &medians(&left);
        let calibration = Calibration {
            hardware: "any".to_owned(),
            stack: LEFT_OUT.to_owned(),
            like: None,
            date: self.date(),
            data: tables.iter().map(origin_of_kernels).collect(),
            kernels: shared,
        };
        self.write(std::slice::from_ref(&calibration), &mut text)?;
        files::print(&text)
    }
}

/// Where a table's rows of kernels come from, in one line.
fn origin_of_kernels(table: &Measured) -> String {
    origin(&table.op, table.rows.iter().map(|r| (&*r.device, &*r.software)))
}

/// Where rows come from, by their devices and software, in one line.
pub fn origin<'a>(op: &str, rows: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let all: Vec<(&str, &str)> = rows.collect();
    let of = |pick: fn(&(&'a str, &'a str)) -> &'a str| -> String {
        let names: BTreeSet<&str> = all.iter().map(pick).collect();
        let names: Vec<&str> = names.into_iter().filter(|n| !n.is_empty()).take(6).collect();
        names.join(", ")
    };
    let (devices, software) = (of(|r| r.0), of(|r| r.1));
    format!("{op}: {} rows of {devices} ({software})", all.len())
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
