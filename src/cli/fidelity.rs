//! Which times kernels take: the roofline's, or those of kernels mapped onto the device.

use super::accuracy::known_stack;
use super::error::Error;
use super::files;
use super::measured::{bundled_tuning, not_mapped};
use crate::cost::Silicon;
use crate::diagnostic::Diagnostic;
use crate::hardware::{Fidelity, Machine};
use crate::mapped::Chip;
use crate::mapped::calibration::{Calibration, Tuning};

/// How kernels' times are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FidelityArg {
    /// The largest of what engines, memory levels and links need, and the launch.
    Roofline,
    /// Tiles, splits, waves and residency, as a software stack reaches them.
    Mapped,
}

/// Fidelity and software stack.
#[derive(Debug, Clone, clap::Args)]
pub struct FidelityArgs {
    /// Times of kernels: mapped onto units, caches and DRAM with an 80 % interval, or the roofline's
    /// [default: mapped where the profile has what it needs]
    #[arg(long, value_enum)]
    fidelity: Option<FidelityArg>,
    /// Software stack of mapped kernels: trtllm, vllm, llamacpp, ... [default: the device's own, else any]
    #[arg(long)]
    stack: Option<String>,
    /// Calibration file of mapped kernels, in the place of a bundled one
    #[arg(long, value_name = "FILE")]
    calibration: Option<String>,
}

/// What kernels are mapped with, or why they take the roofline's times.
#[derive(Debug, Clone)]
pub enum Times {
    /// Mapped.
    Mapped(Box<Silicon>),
    /// The roofline's.
    Roofline {
        /// Why, where nobody asked for it.
        because: Option<String>,
    },
}

impl Times {
    /// What kernels are mapped with.
    pub fn silicon(&self) -> Option<&Silicon> {
        match self {
            Self::Mapped(silicon) => Some(silicon),
            Self::Roofline { .. } => None,
        }
    }

    /// The same, taken.
    pub fn into_silicon(self) -> Option<Silicon> {
        match self {
            Self::Mapped(silicon) => Some(*silicon),
            Self::Roofline { .. } => None,
        }
    }

    /// Said behind a heading: ` (mapped kernels of trtllm)`.
    pub fn said(&self, machine: &Machine) -> String {
        match self {
            _ if machine.fidelity == Fidelity::Ideal => {
                " (ideal: efficiencies 1, overheads 0)".to_owned()
            }
            Self::Mapped(silicon) if silicon.stack.is_empty() => " (mapped kernels)".to_owned(),
            Self::Mapped(silicon) => format!(" (mapped kernels of {})", silicon.stack),
            Self::Roofline { .. } => " (roofline)".to_owned(),
        }
    }

    /// That kernels take the roofline's times where nobody asked for it.
    pub fn fallback(&self) -> Option<String> {
        match self {
            Self::Roofline { because: Some(why) } => Some(format!("roofline times: {why}")),
            _ => None,
        }
    }
}

/// The times that the kernels of a device as it is sold take where nothing is asked for.
///
/// # Errors
/// A bundled calibration that cannot be read.
pub fn by_default(machine: &Machine) -> Result<Times, Error> {
    FidelityArgs { fidelity: None, stack: None, calibration: None }.times(machine, machine)
}

impl FidelityArgs {
    /// The times that kernels take on one device of several: where what is asked for does not go with it, the
    /// roofline's, with the reason.
    ///
    /// # Errors
    /// What is wrong on every device: an unknown stack, a file that cannot be read, `--ideal` with mapped kernels.
    pub fn times_of_each(&self, machine: &Machine, plain: &Machine) -> Result<Times, Error> {
        let lacks = |why: String| Ok(Times::Roofline { because: Some(why) });
        let asked = self.fidelity != Some(FidelityArg::Roofline);
        if let (Err(why), true, false) =
            (Chip::new(machine), asked, machine.fidelity == Fidelity::Ideal)
        {
            return lacks(why.to_string());
        }
        if let Some(file) = &self.calibration {
            let of = Calibration::parse(&files::read(file)?)?.hardware;
            if of != *machine.id {
                return Self { calibration: None, stack: None, ..self.clone() }
                    .times(machine, plain);
            }
        }
        self.times(machine, plain)
    }

    /// The times that a device's kernels take; `plain` is the device before figures of it were changed.
    ///
    /// # Errors
    /// A stack without mapped kernels, an unknown one, or mapped kernels on a device that lacks a figure.
    pub fn times(&self, machine: &Machine, plain: &Machine) -> Result<Times, Error> {
        let named = self.stack.is_some() || self.calibration.is_some();
        let refused =
            |message: &str, hint: &str| Err(Diagnostic::new(message).hint(hint.to_owned()).into());
        let ideal = machine.fidelity == Fidelity::Ideal;
        match self.fidelity {
            Some(FidelityArg::Mapped) if ideal => {
                let hint = "leave out one of --ideal and --fidelity mapped";
                return refused("--ideal is a roofline", hint);
            }
            _ if named && (ideal || self.fidelity == Some(FidelityArg::Roofline)) => {
                let hint = "leave out --fidelity roofline and --ideal";
                return refused("--stack and --calibration are of mapped kernels", hint);
            }
            Some(FidelityArg::Roofline) => return Ok(Times::Roofline { because: None }),
            None if ideal => return Ok(Times::Roofline { because: None }),
            Some(FidelityArg::Mapped) | None => {}
        }
        let chip = match Chip::new(machine) {
            Ok(chip) => chip,
            Err(why) if named || self.fidelity.is_some() => return Err(not_mapped(why)),
            Err(why) => return Ok(Times::Roofline { because: Some(why.to_string()) }),
        };
        let plain = Chip::new(plain).unwrap_or_else(|_| chip.clone());
        let (tuning, stack) = self.tuning(machine, &plain)?;
        let silicon = Silicon::new(&machine.id, &stack, (chip, &plain), &tuning);
        Ok(Times::Mapped(Box::new(silicon)))
    }

    /// The calibrations, and the stack; any where it is empty.
    fn tuning(&self, machine: &Machine, chip: &Chip) -> Result<(Tuning, String), Error> {
        let mut tuning = bundled_tuning()?;
        let mut stack = self.stack.clone();
        if let Some(file) = &self.calibration {
            let calibration = Calibration::parse(&files::read(file)?)?;
            if calibration.hardware != *machine.id {
                let (of, on) = (&calibration.hardware, &machine.id);
                let message = format!("{file} is a calibration of {of}, not of {on}");
                let hint = "name the device that it was fitted to";
                return Err(Diagnostic::new(message).hint(hint).into());
            }
            stack = stack.or_else(|| Some(calibration.stack.clone()));
            tuning = tuning.with(chip.clone(), calibration);
        }
        if let Some(stack) = &stack {
            known_stack(stack, &tuning)?;
        }
        let stack = stack.or_else(|| tuning.stack_of(&machine.id).map(str::to_owned));
        Ok((tuning, stack.unwrap_or_default()))
    }

    /// The flags as they were given.
    pub fn words(&self) -> Vec<String> {
        let fidelity = self.fidelity.map(|f| match f {
            FidelityArg::Roofline => "--fidelity roofline".to_owned(),
            FidelityArg::Mapped => "--fidelity mapped".to_owned(),
        });
        let stack = self.stack.iter().map(|s| format!("--stack {s}"));
        let calibration = self.calibration.iter().map(|c| format!("--calibration {c}"));
        fidelity.into_iter().chain(stack).chain(calibration).collect()
    }
}
