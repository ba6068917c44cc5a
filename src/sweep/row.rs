//! One point of a sweep with its figures, or the reason that it has none.

use super::subject::{Technique, Variant};
use crate::cost::speculative::Speculator;
use crate::cost::{Bound, Capacity, Economics, EstimateError, Estimator, Request, Summary};
use crate::provenance::Basis;
use crate::workload::Traffic;

/// What prices a point: its plan on its machine, and speculation where there is one.
type Priced<'b, 'a> = (&'b Estimator<'a>, Option<&'b Speculator<'a>>);

/// Whether a point has figures.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// It fits and every engine is there.
    Ok,
    /// It needs more memory than the device has; times are withheld.
    OutOfMemory,
    /// It needs more memory than the device has; times are given all the same.
    OutOfMemoryAllowed,
    /// The device has no engine for the format.
    MissingEngine(String),
    /// The lengths are beyond what can be counted.
    Refused(String),
}

/// One evaluated point.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// The device.
    pub variant: &'a Variant,
    /// Model and techniques.
    pub technique: &'a Technique,
    /// Traffic.
    pub traffic: Traffic,
    /// Whether there are figures.
    pub status: Status,
    /// Figures, unless an engine is missing.
    pub figures: Option<Figures>,
}

/// The figures of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Times, bounds, memory.
    pub summary: Summary,
    /// Memory against capacity.
    pub capacity: Capacity,
    /// Energy and money.
    pub economics: Economics,
    /// The weakest basis among the inputs that the times depend on.
    pub basis: Basis,
    /// Index of the memory level that bounds memory time.
    pub memory_level: usize,
    /// How times are found: `ideal`, `mapped` or `roofline`.
    pub fidelity: &'static str,
}

impl Status {
    /// As in the CSV's status column.
    pub fn text(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::OutOfMemory | Self::OutOfMemoryAllowed => "out of memory",
            Self::MissingEngine(why) | Self::Refused(why) => why,
        }
    }

    /// Whether times are shown.
    pub fn shows_times(&self) -> bool {
        matches!(self, Self::Ok | Self::OutOfMemoryAllowed)
    }
}

impl<'a> Row<'a> {
    /// Name of a bound on this device; a memory bound by the name of its level.
    pub fn bound_name(&self, bound: Bound) -> &'a str {
        let level = self.figures.map_or(0, |f| f.memory_level);
        bound.name(&self.variant.machine.levels[level].name)
    }

    pub(super) fn new(
        variant: &'a Variant,
        technique: &'a Technique,
        traffic: Traffic,
        priced: Result<Priced<'_, '_>, &EstimateError>,
        allow_oom: bool,
    ) -> Self {
        let (status, figures) = match priced {
            Err(EstimateError::MissingEngine(missing)) => {
                (Status::MissingEngine(format!("no {} engine", missing.wanted)), None)
            }
            Err(error @ (EstimateError::NoLink(_) | EstimateError::NoHost(_))) => {
                (Status::Refused(error.to_string()), None)
            }
            Ok(priced) => evaluate(variant, traffic, priced, allow_oom),
        };
        Self { variant, technique, traffic, status, figures }
    }
}

fn evaluate(
    variant: &Variant,
    Traffic { batch, prompt, output }: Traffic,
    (estimator, speculator): Priced<'_, '_>,
    allow_oom: bool,
) -> (Status, Option<Figures>) {
    let request = Request::Generation { batch, prompt, output };
    let summary = match speculator {
        None => estimator.summary(&request),
        Some(speculator) => speculator.summary(&request).map(|(summary, _)| summary),
    };
    let summary = match summary {
        Ok(summary) => summary,
        Err(error) => return (Status::Refused(error.to_string()), None),
    };
    let capacity = estimator.capacity(&request, &summary.memory);
    let devices = estimator.devices();
    let economics = Economics::new(&request, &summary, devices, variant.power, variant.price);
    let status = match (capacity.fits, allow_oom) {
        (true, _) => Status::Ok,
        (false, true) => Status::OutOfMemoryAllowed,
        (false, false) => Status::OutOfMemory,
    };
    let basis = estimator.basis(summary.bounds);
    let memory_level = estimator.slowest_index();
    let fidelity = estimator.fidelity();
    (status, Some(Figures { summary, capacity, economics, basis, memory_level, fidelity }))
}
