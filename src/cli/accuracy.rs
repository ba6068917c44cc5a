//! `cosim accuracy`: predictions against measurements.

use super::error::Error;
use super::files;
use super::measured::{Device, MeasuredArgs};
use super::terminal;
use crate::calibrate::{Measured, Predictor, Priced, RequestRow, Row, Score, Scored, roof, score};
use crate::cost::Silicon;
use crate::mapped::calibration::Tuning;
use crate::par;
use crate::report::accuracy::{AccuracyChart, rows_csv, scores_csv, scores_table};
use crate::units::Seconds;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `cosim accuracy`.
#[derive(Debug, clap::Args)]
pub struct AccuracyArgs {
    #[command(flatten)]
    measured: MeasuredArgs,
    /// Predict as this software stack; unless stated the one that a row or its source names
    #[arg(long)]
    stack: Option<String>,
    /// What scores are grouped by
    #[arg(long, value_delimiter = ',', default_value = "device,op,dtype")]
    by: Vec<By>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
    /// Write scores, every row with its prediction, and a chart to this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Device,
    Op,
    Dtype,
}

/// Rows that are shown as the worst.
const WORST: usize = 10;
/// Lines that a remark names.
const NAMED: usize = 8;

/// What became of the rows.
#[derive(Debug, Default)]
struct Judged {
    scored: Vec<Scored>,
    /// Faster than the datasheet allows.
    faster: Vec<Scored>,
    /// Counts of rows without a score, by why.
    left: BTreeMap<String, usize>,
}

enum Fate {
    Scored(Scored),
    Faster(Scored),
    Left(String),
}

pub fn run(args: &AccuracyArgs) -> Result<(), Error> {
    let tables = args.measured.read()?;
    let devices = args.measured.devices(&tables)?;
    let tuning = args.measured.tuning()?;
    if let Some(stack) = &args.stack {
        known_stack(stack, &tuning)?;
    }
    let judged = judge(args, &tables, &devices, &tuning);
    let scores = args.scores(&judged.scored);
    let mut text = String::new();
    if let Some(folder) = &args.report {
        write_report(folder, &scores, &judged, &mut text)?;
    }
    if args.json {
        let json = serde_json::to_string_pretty(&scores).unwrap_or_default();
        return files::print(&(json + "\n"));
    }
    let warnings =
        tables.iter().flat_map(|t| t.warnings.iter().map(|w| format!("{}: {w}\n", t.file)));
    let text = scores_table(&scores).to_terminal(terminal::shape())
        + &remarks(&judged)
        + &warnings.collect::<String>()
        + &args.measured.unused(&devices)
        + &foreign(args, &tables, &tuning)
        + &text;
    files::print(&text)
}

/// What is said of rows of stacks that nothing is calibrated for.
fn foreign(args: &AccuracyArgs, tables: &[Measured], tuning: &Tuning) -> String {
    if args.stack.is_some() {
        return String::new();
    }
    let known = tuning.stacks();
    let kernels = tables.iter().flat_map(|t| &t.rows).map(|row| &row.stack);
    let requests = tables.iter().flat_map(|t| &t.requests).map(|row| &row.stack);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for stack in kernels.chain(requests).filter_map(|stack| stack.as_deref()) {
        if !known.contains(&stack) {
            *counts.entry(stack).or_default() += 1;
        }
    }
    let said = |(stack, count)| {
        format!(
            "{count} rows are of {stack}, which nothing is calibrated for: predicted after other stacks\n"
        )
    };
    counts.into_iter().map(said).collect()
}

/// A stack that something is calibrated for.
pub fn known_stack(stack: &str, tuning: &Tuning) -> Result<(), Error> {
    let stacks = tuning.stacks();
    if stacks.contains(&stack) {
        return Ok(());
    }
    Err(crate::diagnostic::Diagnostic::unknown("stack", stack, stacks).into())
}

/// Devices with the stacks that requests ran under.
struct Silicons(BTreeMap<(String, String), Silicon>);

impl Silicons {
    fn new(
        args: &AccuracyArgs,
        rows: &[(&str, &RequestRow)],
        devices: &BTreeMap<String, Device>,
        tuning: &Tuning,
    ) -> Self {
        let mut known = BTreeMap::new();
        for (_, row) in rows {
            let (device, named) =
                (&devices[row.device.as_ref()], args.stack_of(row.stack.as_deref()));
            let Ok(chip) = &device.chip else { continue };
            let stack = match named {
                "" => tuning.stack_of(&device.id).unwrap_or(""),
                named => named,
            };
            known
                .entry((device.id.clone(), named.to_owned()))
                .or_insert_with(|| Silicon::new(&device.id, stack, (chip.clone(), chip), tuning));
        }
        Self(known)
    }

    fn get(&self, device: &str, stack: &str) -> Option<&Silicon> {
        self.0.get(&(device.to_owned(), stack.to_owned()))
    }
}

impl AccuracyArgs {
    /// The stack that rows are predicted as; any where it is empty.
    fn stack_of<'a>(&'a self, named: Option<&'a str>) -> &'a str {
        self.stack.as_deref().or(named).unwrap_or("")
    }

    fn scores(&self, rows: &[Scored]) -> Vec<Score> {
        let part = |by: By, text: &str| {
            if self.by.contains(&by) { text.to_owned() } else { "all".to_owned() }
        };
        let mut groups: BTreeMap<[String; 3], Vec<&Scored>> = BTreeMap::new();
        for row in rows {
            let key =
                [part(By::Op, &row.op), part(By::Device, &row.device), part(By::Dtype, &row.dtype)];
            groups.entry(key).or_default().push(row);
        }
        let scores = groups.iter().filter_map(|([op, device, dtype], rows)| {
            score((op, device, dtype), rows.iter().copied())
        });
        scores.collect()
    }
}

fn judge(
    args: &AccuracyArgs,
    tables: &[Measured],
    devices: &BTreeMap<String, Device>,
    tuning: &Tuning,
) -> Judged {
    let rows: Vec<(&str, &Row)> =
        tables.iter().flat_map(|t| t.rows.iter().map(|r| (t.op.as_str(), r))).collect();
    let fates =
        par::map(&rows, |(op, row)| fate(args, op, row, &devices[row.device.as_ref()], tuning));
    let requests: Vec<(&str, &RequestRow)> =
        tables.iter().flat_map(|t| t.requests.iter().map(|r| (t.op.as_str(), r))).collect();
    let silicon = Silicons::new(args, &requests, devices, tuning);
    let of_requests = par::map(&requests, |(op, row)| {
        let device = &devices[row.device.as_ref()];
        if let Err(why) = &device.chip {
            return Fate::Left(why.to_string());
        }
        let silicon = silicon.get(&device.id, args.stack_of(row.stack.as_deref()));
        let predicted = Priced::new(row, &device.machine).and_then(|p| p.predict(silicon));
        match predicted {
            Ok((time, range)) => Fate::Scored(row.scored(op, time, range)),
            Err(why) => Fate::Left(format!("{}: {why}", row.device)),
        }
    });
    let mut judged = Judged::default();
    for fate in fates.into_iter().chain(of_requests) {
        match fate {
            Fate::Scored(row) => judged.scored.push(row),
            Fate::Faster(row) => judged.faster.push(row),
            Fate::Left(why) => *judged.left.entry(why).or_default() += 1,
        }
    }
    judged
}

fn fate(args: &AccuracyArgs, op: &str, row: &Row, device: &Device, tuning: &Tuning) -> Fate {
    if let Some(why) = row.case.unjudged() {
        return Fate::Left(why.to_owned());
    }
    let chip = match &device.chip {
        Ok(chip) => chip,
        Err(error) => return Fate::Left(error.to_string()),
    };
    let stack = args.stack_of(row.stack.as_deref());
    let predictor = Predictor { chip, hardware: &device.id, stack, tuning };
    match predictor.scored(op, row) {
        None => Fate::Left(format!("{} has no figure for {}", device.id, row.dtype)),
        Some(scored) if scored.measured < roof(chip, row) => Fate::Faster(scored),
        Some(scored) => Fate::Scored(scored),
    }
}

fn remarks(judged: &Judged) -> String {
    let mut text = String::new();
    let mut worst: Vec<&Scored> = judged.scored.iter().collect();
    worst.sort_by(|a, b| {
        let far = |s: &Scored| (s.predicted / s.measured).ln().abs();
        far(b).total_cmp(&far(a))
    });
    if !worst.is_empty() {
        text += "\nworst rows\n";
    }
    for row in worst.iter().take(WORST) {
        let [measured, predicted] = [row.measured, row.predicted].map(Seconds::new);
        let _ = writeln!(
            text,
            "  {} line {}: {} {} {}: {measured} measured, {predicted} predicted ({:+.0} %)",
            row.op,
            row.line,
            row.device,
            row.dtype,
            row.shape,
            row.error()
        );
    }
    for (why, count) in &judged.left {
        let _ = writeln!(text, "not scored: {count} rows: {why}");
    }
    if !judged.faster.is_empty() {
        let lines: Vec<String> =
            judged.faster.iter().take(NAMED).map(|r| format!("{} line {}", r.op, r.line)).collect();
        let more = if judged.faster.len() > NAMED { ", ..." } else { "" };
        let _ = writeln!(
            text,
            "apart: {} rows are faster than the datasheet allows: {}{more}",
            judged.faster.len(),
            lines.join(", ")
        );
    }
    text
}

fn write_report(
    folder: &std::path::Path,
    scores: &[Score],
    judged: &Judged,
    said: &mut String,
) -> Result<(), Error> {
    let failed = |e: csv::Error| Error::from(crate::diagnostic::Diagnostic::new(e.to_string()));
    let rows = rows_csv(&judged.scored, &judged.faster).map_err(failed)?;
    let scores = scores_csv(scores).map_err(failed)?;
    let chart = AccuracyChart { rows: &judged.scored }.to_svg();
    let out = [("accuracy.csv", scores), ("rows.csv", rows), ("accuracy.svg", chart)];
    files::write_each(out.map(|(name, text)| (folder.join(name), text)), said)
}
