//! `cosim calibrate`: parameters of a device under a stack from measurements.

use super::accuracy::known_stack;
use super::calibrate_left_out as left_out;
use super::calibrate_requests as requests;
use super::error::Error;
use super::files;
use super::measured::{Device, MeasuredArgs, device, not_mapped};
use super::terminal;
use crate::calibrate::{
    FitError, Measured, Outcome, Predictor, Row, fit_all, fitted, groups, unseen,
};
use crate::diagnostic::Diagnostic;
use crate::mapped::Kind;
use crate::mapped::calibration::bundled::LEFT_OUT;
use crate::mapped::calibration::{Calibration, Fitted, Kernels, Tuning};
use crate::report::accuracy::scores_table;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

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
    /// Score kernels over this many ways of cutting their rows in halves
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=1000), conflicts_with = "leave_one_out")]
    cuts: u64,
    /// Day of the fit, YYYY-MM-DD; today unless stated
    #[arg(long, value_parser = day)]
    date: Option<String>,
    /// Where to write the calibration
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A day of the calendar, as it is written.
fn day(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('-').collect();
    let valid = |[year, month, day]: [&str; 3]| {
        let month = time::Month::try_from(month.parse::<u8>().ok()?).ok()?;
        time::Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
    };
    match <[&str; 3]>::try_from(parts).ok().and_then(valid) {
        Some(day) if day.to_string() == text => Ok(text.to_owned()),
        _ => Err("expected a day as YYYY-MM-DD".to_owned()),
    }
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
    if args.leave_one_out {
        return left_out::run(&args.measured, &tables, args.date(), args.output.as_deref());
    }
    args.fit(&tables)
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
        if self.like.as_deref() == Some(stack) {
            return Err(Diagnostic::new(format!("--like {stack} is the stack itself")).into());
        }
        if let (Some((name, _)), true) =
            (self.measured.map.first(), self.measured.calibration.is_empty())
        {
            let message = format!("--map {name} means nothing to a fit");
            let hint = "--hardware says which device the rows are of, --device which rows";
            return Err(Diagnostic::new(message).hint(hint).into());
        }
        let twice = |i: &usize| self.hardware[..*i].contains(&self.hardware[*i]);
        if let Some(i) = (1..self.hardware.len()).find(twice) {
            let message = format!("--hardware names {} twice", self.hardware[i]);
            return Err(Diagnostic::new(message).into());
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
        write(&calibrations.collect::<Vec<_>>(), self.output.as_deref(), &mut text)?;
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
        let bar = terminal::steps(groups(&rows).len() as u64 * (1 + self.cuts));
        let outcomes = fit_all(&predictor, &rows, &|_| bar.inc(1));
        let scores = unseen(&predictor, &rows, &outcomes, self.cuts, &|| bar.inc(1));
        bar.finish_and_clear();
        let means =
            if self.cuts > 1 { format!(", over {} cuts", self.cuts) } else { String::new() };
        let _ = writeln!(text, "fitted to one half of the shapes, scored on the other{means}");
        *text += &scores_table(&scores).to_terminal(terminal::shape());
        *text += &parameters(&outcomes);
        let kernels = fitted(&outcomes);
        if kernels.is_empty() {
            let left = left(&rows).into_iter().map(|(why, count)| format!("{count} rows: {why}"));
            let why: Vec<String> = failures(&outcomes).chain(left).collect();
            let message = format!("nothing could be fitted: {}", why.join("; "));
            return Err(Diagnostic::new(message).into());
        }
        for why in failures(&outcomes) {
            let _ = writeln!(text, "not fitted: {why}");
        }
        *text += &remarks(&rows, stack);
        Ok(kernels)
    }
}

/// Writes one file; of several devices one each in a folder.
pub fn write(
    calibrations: &[Calibration],
    output: Option<&Path>,
    said: &mut String,
) -> Result<(), Error> {
    let Some(path) = output else { return Ok(()) };
    let files = calibrations.iter().map(|c| match calibrations.len() {
        1 => (path.to_owned(), c.to_yaml()),
        _ => (path.join(format!("{}.{}.yaml", c.hardware, c.stack)), c.to_yaml()),
    });
    files::write_each(files.collect::<Vec<_>>(), said)
}

/// Where a table's rows of kernels come from, in one line.
pub fn origin_of_kernels(table: &Measured) -> String {
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

/// How many rows are not fitted to, by why.
fn left(rows: &[Row]) -> BTreeMap<&'static str, usize> {
    let mut left = BTreeMap::new();
    for why in rows.iter().filter_map(|row| row.case.unjudged()) {
        *left.entry(why).or_default() += 1;
    }
    left
}

/// What is said of rows that are not fitted to, and of rows of another stack than they are fitted as.
fn remarks(rows: &[Row], stack: &str) -> String {
    let mut text = String::new();
    for (why, count) in left(rows) {
        let _ = writeln!(text, "not used: {count} rows: {why}");
    }
    let named: BTreeSet<&str> = rows.iter().filter_map(|row| row.stack.as_deref()).collect();
    for other in named.into_iter().filter(|other| *other != stack) {
        let _ = writeln!(text, "rows say that they are of {other}; they are fitted as {stack}");
    }
    text
}

type Outcomes = [(Kind, String, Result<Outcome, FitError>)];

fn failures(outcomes: &Outcomes) -> impl Iterator<Item = String> {
    outcomes.iter().filter_map(|(kind, format, outcome)| {
        let error = outcome.as_ref().err()?;
        Some(format!("{} {format}: {error}", kind.name()))
    })
}

/// The parameters of all rows.
fn parameters(outcomes: &Outcomes) -> String {
    let mut text = "\nparameters of all rows (relative standard error)\n".to_owned();
    for (kind, format, outcome) in outcomes {
        if let Ok(outcome) = outcome {
            let _ =
                writeln!(text, "  {} {format}: {}", kind.name(), described(*kind, &outcome.fitted));
        }
    }
    text
}

/// Fitted parameters, each with its error, and whether it ran into an end of what physics allows.
pub fn described(kind: Kind, fitted: &Fitted) -> String {
    let each = kind.parameters().iter().zip(&fitted.values).zip(&fitted.errors);
    let each = each.map(|((parameter, value), error)| {
        let (least, most) = parameter.range;
        let close = |end: f64| (value / end).ln().abs() < 0.01;
        let shown = format!("{} {}", parameter.name, parameter.show(*value));
        match error {
            Some(_) if close(least) || close(most) => format!("{shown} (at its limit)"),
            Some(error) if *error > 1.0 => format!("{shown} (uncertain beyond a factor of two)"),
            Some(error) => format!("{shown} ({:.0} %)", 100.0 * error),
            None => format!("{shown} (held: these rows do not tell it)"),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}
