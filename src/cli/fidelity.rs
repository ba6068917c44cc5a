//! Which times kernels take: the roofline's, or those of kernels mapped onto the device.

use super::accuracy::known_stack;
use super::case::Case;
use super::error::Error;
use super::files;
use super::measured::{bundled_tuning, not_mapped};
use crate::cost::Silicon;
use crate::diagnostic::Diagnostic;
use crate::hardware::Fidelity;
use crate::mapped::Chip;
use crate::mapped::calibration::Calibration;

/// How kernels' times are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FidelityArg {
    /// The largest of what engines, memory levels and links need, and the launch.
    Roofline,
    /// Tiles, splits, waves and residency, as a software stack reaches them.
    Mapped,
}

/// Fidelity and software stack.
#[derive(Debug, clap::Args)]
pub struct FidelityArgs {
    /// Times of kernels: the roofline's, or mapped onto units, caches and DRAM with an 80 % interval
    #[arg(long, value_enum, default_value = "roofline")]
    fidelity: FidelityArg,
    /// Software stack of mapped kernels: trtllm, vllm, ... [default: any]
    #[arg(long)]
    stack: Option<String>,
    /// Calibration file of mapped kernels, in the place of a bundled one
    #[arg(long, value_name = "FILE")]
    calibration: Option<String>,
}

impl FidelityArgs {
    /// What kernels are mapped with; `None` where the roofline is asked for.
    ///
    /// # Errors
    /// A stack without mapped kernels, an unknown one, a device that lacks a figure, or a case that mapped
    /// kernels do not price.
    pub fn silicon(&self, case: &Case) -> Result<Option<Silicon>, Error> {
        let refused =
            |message: &str, hint: &str| Err(Diagnostic::new(message).hint(hint.to_owned()).into());
        if self.fidelity == FidelityArg::Roofline {
            if self.stack.is_some() || self.calibration.is_some() {
                let message = "--stack and --calibration are of mapped kernels";
                return refused(message, "add --fidelity mapped");
            }
            return Ok(None);
        }
        if case.machine.fidelity == Fidelity::Ideal {
            return refused(
                "--ideal is a roofline",
                "leave out one of --ideal and --fidelity mapped",
            );
        }
        if case.speculated.is_some() {
            let message = "mapped kernels do not price speculative decoding";
            return refused(message, "leave out --fidelity mapped, or the draft");
        }
        let chip = Chip::new(&case.machine).map_err(not_mapped)?;
        let mut tuning = bundled_tuning()?;
        let mut stack = self.stack.clone();
        if let Some(file) = &self.calibration {
            let calibration = Calibration::parse(&files::read(file)?)?;
            if calibration.hardware != *case.hardware.id {
                let (of, on) = (&calibration.hardware, &case.hardware.id);
                let message = format!("{file} is a calibration of {of}, not of {on}");
                return refused(&message, "name the device that it was fitted to");
            }
            stack = stack.or_else(|| Some(calibration.stack.clone()));
            tuning = tuning.with(chip.clone(), calibration);
        }
        if let Some(stack) = &stack {
            known_stack(stack, &tuning)?;
        }
        let hardware = case.hardware.id.to_string();
        Ok(Some(Silicon { hardware, stack: stack.unwrap_or_default(), chip, tuning }))
    }
}
