//! `cosim calibrate --leave-one-out`: every device as the others tell it.

use super::accuracy::known_stack;
use super::calibrate::{origin_of_kernels, write};
use super::error::Error;
use super::files;
use super::measured::{Device, MeasuredArgs, not_mapped};
use super::terminal;
use crate::calibrate::{LeftOut, Measured, Predictor, Row, Score, leave_one_out, median, ticks};
use crate::diagnostic::Diagnostic;
use crate::mapped::Kind;
use crate::mapped::calibration::Calibration;
use crate::mapped::calibration::bundled::LEFT_OUT;
use crate::report::accuracy::scores_table;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Scores every device with what the others share, and writes what all share with the intervals of devices left
/// out.
///
/// # Errors
/// A device that kernels are not mapped onto, an unknown stack, or nothing that two devices have rows of.
pub fn run(
    args: &MeasuredArgs,
    tables: &[Measured],
    date: String,
    output: Option<&Path>,
) -> Result<(), Error> {
    let devices = args.devices(tables)?;
    let tuning = args.tuning()?;
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
        let message = "no kind of kernel has rows of two devices, of which one could be left out";
        return Err(Diagnostic::new(message).into());
    }
    let scores: Vec<Score> = left.iter().map(|l| l.score.clone()).collect();
    let mut text = scores_table(&scores).to_terminal(terminal::shape()) + &medians(&left);
    let calibration = Calibration {
        hardware: "any".to_owned(),
        stack: LEFT_OUT.to_owned(),
        like: None,
        date,
        data: tables.iter().map(origin_of_kernels).collect(),
        kernels: shared,
    };
    write(std::slice::from_ref(&calibration), output, &mut text)?;
    files::print(&text)
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
