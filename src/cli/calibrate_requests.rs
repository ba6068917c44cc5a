//! `cosim calibrate` with tables of requests: what a stack's host takes, and what whole steps reach.

use super::calibrate::{described, origin};
use super::error::Error;
use super::measured::{Device, not_mapped};
use super::terminal;
use crate::calibrate::{self, Measured, RequestFit, RequestRow, fit_requests, hardware_of};
use crate::diagnostic::Diagnostic;
use crate::hardware::bundled;
use crate::mapped::calibration::{Kernels, Tuning};
use crate::report::accuracy::scores_table;
use std::fmt::Write;

/// Fits the requests of tables, those of the stack on each device; nothing where there are none.
///
/// # Errors
/// Too few rows, or a device that kernels are not mapped onto.
pub fn fit(
    tables: &[Measured],
    devices: &[Device],
    (stack, tuning): (&str, &Tuning),
    apart: bool,
    text: &mut String,
) -> Result<Vec<(Kernels, String)>, Error> {
    let all: Vec<&RequestRow> = tables.iter().flat_map(|t| &t.requests).collect();
    if all.is_empty() {
        if apart {
            let message = "--apart is told by whole requests, of which the tables hold none";
            return Err(Diagnostic::new(message).into());
        }
        return Ok(vec![]);
    }
    let measured = measured(&all, devices, stack)?;
    let used: usize = measured.iter().map(|d| d.rows.len()).sum();
    let fitted = fit_requests(&measured, stack, tuning, apart)
        .map_err(|why| Error::from(Diagnostic::new(why.to_string())))?;
    let _ = writeln!(
        text,
        "requests, fitted to one half of the rows, scored on the other\n{}",
        scores_table(&fitted.scores).to_terminal(terminal::shape())
    );
    *text += &parameters(&measured, &fitted);
    if used < all.len() {
        let _ = writeln!(
            text,
            "{} of {} rows of requests are of other devices or stacks",
            all.len() - used,
            all.len()
        );
    }
    let data = measured
        .iter()
        .map(|d| origin("requests", d.rows.iter().map(|r| (&*r.device, &*r.software))));
    Ok(fitted.kernels.into_iter().zip(data).collect())
}

/// The devices, each with its rows of a stack.
fn measured<'a>(
    all: &[&'a RequestRow],
    devices: &'a [Device],
    stack: &str,
) -> Result<Vec<calibrate::Device<'a>>, Error> {
    let ids = bundled::ids();
    let of_stack = |row: &&RequestRow| row.stack.as_deref().is_none_or(|s| s == stack);
    let on = |row: &RequestRow, id: &str| match devices {
        [only] => hardware_of(&row.device, &ids).is_none_or(|found| found == only.id),
        _ => hardware_of(&row.device, &ids) == Some(id),
    };
    let with_rows = |device: &'a Device| {
        let rows: Vec<&RequestRow> =
            all.iter().copied().filter(of_stack).filter(|row| on(row, &device.id)).collect();
        if rows.is_empty() {
            let message = format!("no row is of {} under {stack}", device.id);
            let hint = "the framework's name tells the stack: TensorRT-LLM is trtllm, llama.cpp is llamacpp";
            return Err(Diagnostic::new(message).hint(hint).into());
        }
        let chip = device.chip.as_ref().map_err(|e| not_mapped(e.clone()))?;
        Ok(calibrate::Device { hardware: &device.id, chip, machine: &device.machine, rows })
    };
    devices.iter().map(with_rows).collect()
}

/// The parameters of each device, what the rows do not tell of them, and which rows were not used.
fn parameters(measured: &[calibrate::Device<'_>], fitted: &RequestFit) -> String {
    let mut text = String::new();
    for (device, kernels) in measured.iter().zip(&fitted.kernels) {
        for ((kind, _), fit) in kernels {
            let _ =
                writeln!(text, "  {} {}: {}", device.hardware, kind.name(), described(*kind, fit));
        }
    }
    for name in &fitted.held {
        let _ = writeln!(text, "held, as these rows do not tell it: {name}");
    }
    for (line, why) in &fitted.left {
        let _ = writeln!(text, "not used: line {line}: {why}");
    }
    text
}
