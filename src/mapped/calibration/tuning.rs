//! Which parameters a device takes under a stack.

use super::bundled::LEFT_OUT;
use super::{Calibration, Fitted, Interval, Kernels};
use crate::mapped::{Chip, Kind, Parameter};
use crate::provenance::Basis;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Id of the device.
    pub hardware: &'a str,
    /// The software stack; any where it is empty.
    pub stack: &'a str,
    /// The kind of kernel.
    pub kind: Kind,
    /// Its format.
    pub format: &'a str,
}

impl Wanted<'_> {
    /// Whether a calibration's figures are about it: those of a stack's own way of running things only under that
    /// stack; where none is named only what every host takes, of stacks whose kernels were timed.
    fn is_told_by(&self, calibration: &Calibration) -> bool {
        match self.kind {
            kind if !kind.is_of_stack() => true,
            Kind::Host if self.stack.is_empty() => {
                calibration.kernels.keys().any(|(kind, _)| !kind.is_of_stack())
            }
            _ => calibration.stack == self.stack,
        }
    }
}

/// What a device takes, and from where.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// Values in SI, in the order of [`Kind::parameters`].
    pub values: Vec<f64>,
    /// What measurements lie within.
    pub interval: Interval,
    /// Calibrated for this device and stack, derived from others, or assumed where there are none.
    pub basis: Basis,
    /// From where, in words.
    pub origin: String,
}

/// Calibrations with the chips that they belong to.
#[derive(Debug, Clone, Default)]
pub struct Tuning {
    known: Vec<(Chip, Calibration)>,
    shared: Kernels,
}

/// How fast a calibration counts less with the distance of its chip.
const REACH: f64 = 0.35;
/// The distance of another stack.
const OTHER_STACK: f64 = 0.7;
/// The distance of the parameters that all devices share.
const SHARED: f64 = 0.9;
/// What is said of a stack whose residuals are not known: a factor of two.
const UNKNOWN: Interval = Interval { low: 0.5, high: 2.0 };

impl Tuning {
    /// Calibrations, and the chip of each device that they name; those of devices without a chip, and
    /// without parameters for kernels, are left out.
    pub fn new(
        calibrations: impl IntoIterator<Item = Calibration>,
        chip: impl Fn(&str) -> Option<Chip>,
    ) -> Self {
        let mut tuning = Self::default();
        for calibration in calibrations {
            if calibration.stack == LEFT_OUT {
                tuning.shared = calibration.kernels;
            } else if let Some(chip) = chip(&calibration.hardware) {
                tuning.known.push((chip, calibration));
            }
        }
        // Where any stack will do, one that has kernels of its own goes first.
        tuning.known.sort_by_key(|(_, c)| c.like.is_some());
        tuning
    }

    /// The same without the calibrations of some devices: what they would take if they had never been
    /// measured.
    pub fn without(&self, hardware: &[&str]) -> Self {
        let known = self.known.iter().filter(|(_, c)| !hardware.contains(&c.hardware.as_str()));
        Self { known: known.cloned().collect(), shared: self.shared.clone() }
    }

    /// The same with one calibration more, in the place of another of its device and stack.
    pub fn with(mut self, chip: Chip, calibration: Calibration) -> Self {
        let same =
            |c: &Calibration| c.hardware == calibration.hardware && c.stack == calibration.stack;
        self.known.retain(|(_, c)| !same(c));
        self.known.insert(0, (chip, calibration));
        self
    }

    /// The same with other parameters that devices share.
    pub fn sharing(mut self, kernels: Kernels) -> Self {
        self.shared = kernels;
        self
    }

    /// The stack that a device was calibrated under; of several the first that has kernels of its own.
    pub fn stack_of(&self, hardware: &str) -> Option<&str> {
        let own = self.known.iter().find(|(_, c)| c.hardware == hardware);
        own.map(|(_, c)| c.stack.as_str())
    }

    /// The stacks that some device is calibrated for, sorted.
    pub fn stacks(&self) -> Vec<&str> {
        let mut stacks: Vec<&str> = self.known.iter().map(|(_, c)| c.stack.as_str()).collect();
        stacks.sort_unstable();
        stacks.dedup();
        stacks
    }

    /// The parameters of a kind of kernel on a chip: its own where it is calibrated for the stack (with the
    /// interval of a device left out where its figures have been changed), else
    /// the mean of the logarithms of others', each the less the further its chip and stack are (A146).
    pub fn get(&self, chip: &Chip, wanted: Wanted<'_>) -> Tuned {
        if let Some((fits, fitted, c)) = self.own(wanted) {
            let name = format!("{} under {}", c.hardware, c.stack);
            let values = fitted.values.clone();
            if fits == chip {
                let (interval, basis) = (fitted.interval, Basis::Calibrated);
                return Tuned { values, interval, basis, origin: name };
            }
            let interval = self.unseen(wanted);
            let origin = format!("{name}, for other figures than this device has");
            return Tuned { values, interval, basis: Basis::Derived, origin };
        }
        self.kin(chip, wanted).unwrap_or_else(|| Tuned {
            values: wanted.kind.parameters().iter().map(|p| p.rest).collect(),
            interval: UNKNOWN,
            basis: Basis::Assumed,
            origin: "no calibration".to_owned(),
        })
    }

    /// The parameters that were fitted to the device under the stack, or under the stack that it is like.
    fn own(&self, wanted: Wanted<'_>) -> Option<(&Chip, &Fitted, &Calibration)> {
        let under = |stack: &str| {
            let fits = |c: &&(Chip, Calibration)| {
                c.1.hardware == wanted.hardware
                    && (stack.is_empty() || c.1.stack == stack)
                    && wanted.is_told_by(&c.1)
            };
            let mut all = self.known.iter().filter(fits);
            all.find_map(|(chip, c)| Some((chip, fitted(c, wanted)?, c)))
        };
        under(wanted.stack).or_else(|| under(self.like(wanted.stack)?))
    }

    /// The stack whose kernels a stack has where it has none of its own.
    fn like(&self, stack: &str) -> Option<&str> {
        self.known.iter().filter(|(_, c)| c.stack == stack).find_map(|(_, c)| c.like.as_deref())
    }

    /// What measurements of a device lie within that was not fitted to: of the format, else the widest of its
    /// kind.
    pub fn unseen(&self, wanted: Wanted<'_>) -> Interval {
        if let Some(shared) = self.shared.get(&(wanted.kind, wanted.format.to_owned())) {
            return shared.interval;
        }
        let alike = self.shared.iter().filter(|((kind, _), _)| *kind == wanted.kind);
        let wider =
            |a: Interval, b: Interval| Interval { low: a.low.min(b.low), high: a.high.max(b.high) };
        alike.map(|(_, fitted)| fitted.interval).reduce(wider).unwrap_or(UNKNOWN)
    }

    fn kin(&self, chip: &Chip, wanted: Wanted<'_>) -> Option<Tuned> {
        let mut found: Vec<(f64, &Fitted, String)> = vec![];
        let like = self.like(wanted.stack);
        for (other, calibration) in &self.known {
            let told = fitted(calibration, wanted).filter(|_| wanted.is_told_by(calibration));
            let Some(fitted) = told else { continue };
            let same = calibration.stack == wanted.stack || like == Some(&calibration.stack);
            let foreign = !wanted.stack.is_empty() && !same;
            let distance = chip.distance(other) + if foreign { OTHER_STACK } else { 0.0 };
            let name = format!("{} under {}", calibration.hardware, calibration.stack);
            found.push(((-distance / REACH).exp(), fitted, name));
        }
        let shared = self.shared.get(&(wanted.kind, wanted.format.to_owned()));
        if let Some(shared) = shared {
            found.push(((-SHARED / REACH).exp(), shared, "all devices together".to_owned()));
        }
        let values = wanted.kind.parameters().iter().enumerate();
        let values = values.map(|(i, parameter)| mean(parameter, i, &found));
        let values = values.collect();
        let nearest = found.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(Tuned {
            values,
            interval: self.unseen(wanted),
            basis: Basis::Derived,
            origin: match found.len() {
                1 => format!("after {}", nearest.2),
                _ => format!("after {} and others", nearest.2),
            },
        })
    }
}

/// The weighted mean of the logarithms of a parameter where rows tell it. Of a time that may be none at all the mean
/// of the times, as rows that do not tell it say that it is next to nothing.
fn mean(parameter: &Parameter, i: usize, found: &[(f64, &Fitted, String)]) -> f64 {
    let none = parameter.rest == Parameter::NOTHING;
    let (mut sum, mut weights) = (0.0, 0.0);
    for (weight, fitted, _) in found {
        if none || fitted.errors[i].is_some() {
            let value = fitted.values[i];
            sum += weight * if none { value } else { value.ln() };
            weights += weight;
        }
    }
    match weights > 0.0 {
        true if none => sum / weights,
        true => (sum / weights).exp(),
        false => parameter.rest,
    }
}

/// The parameters of a kind and format in a calibration.
fn fitted<'a>(calibration: &'a Calibration, wanted: Wanted<'_>) -> Option<&'a Fitted> {
    calibration.kernels.get(&(wanted.kind, wanted.format.to_owned()))
}
