//! The time of a launch: of its mapped parts, else the roofline's.

use super::parts::Part;
use crate::cost::bound::Resource;
use crate::cost::estimator::Estimator;
use crate::cost::kernel::KernelCost;
use crate::mapped::calibration::Interval;
use crate::mapped::{Kind, Lever, Mapped, Shape, gains};
use crate::mapping::PlanKernel;
use crate::provenance::Basis;
use crate::tensor::Step;
use crate::units::Seconds;

/// A time with what 80 % of measurements lie between.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::cost) struct Timed {
    /// Seconds.
    pub(in crate::cost) seconds: f64,
    /// Low and high seconds.
    pub(in crate::cost) range: [f64; 2],
    /// Seconds of it that are launches.
    pub(in crate::cost) launch: f64,
}

impl Timed {
    /// A time that nothing is known of beside itself.
    pub(in crate::cost) const fn certain(seconds: f64, launch: f64) -> Self {
        Self { seconds, range: [seconds, seconds], launch }
    }

    fn within(seconds: f64, launch: f64, interval: Interval) -> Self {
        Self { seconds, range: [interval.low * seconds, interval.high * seconds], launch }
    }

    pub(in crate::cost) fn add(self, o: Self, times: f64) -> Self {
        Self {
            seconds: self.seconds + times * o.seconds,
            range: [self.range[0] + times * o.range[0], self.range[1] + times * o.range[1]],
            launch: self.launch + times * o.launch,
        }
    }

    /// At least so many seconds, with the interval that it has.
    fn at_least(self, seconds: f64) -> Self {
        if self.seconds >= seconds || self.seconds <= 0.0 {
            return self;
        }
        let factor = seconds / self.seconds;
        Self { seconds, range: self.range.map(|edge| edge * factor), ..self }
    }
}

/// A mapped part of a kernel, as it is explained.
#[derive(Debug, Clone, PartialEq)]
pub struct MappedPart {
    /// What it demands.
    pub shape: Shape,
    /// The format whose parameters it takes.
    pub format: &'static str,
    /// Tile, split, waves, residency, time.
    pub mapped: Mapped,
    /// What 80 % of measurements lie between.
    pub range: [Seconds; 2],
    /// How its parameters are known.
    pub basis: Basis,
    /// From where.
    pub origin: String,
    /// How many times as fast it is with twice as much of something, the most first.
    pub gains: Vec<(Lever, f64)>,
}

impl Estimator<'_> {
    /// The time of one launch: of the mapped kernel, else the roofline's.
    pub(in crate::cost) fn timed(
        &self,
        kernel: &PlanKernel,
        step: &Step,
        cost: &KernelCost,
    ) -> Timed {
        let Some(binding) = &self.binding else {
            return Timed::certain(self.time(cost), self.launch);
        };
        let mut sum = Timed::default();
        let found = self.parts(binding, kernel, (step, cost), &mut |part| {
            let mapped = self.map(part);
            let launch = part.launch().min(mapped.seconds);
            let timed = Timed::within(mapped.seconds, launch, part.tuned.interval);
            sum = sum.add(timed.at_least(beside(part, cost)), 1.0);
        });
        match found {
            // What comes over the host link binds mapped kernels too.
            Some(()) => sum.at_least(cost.times[Resource::Host as usize]),
            None => Timed::certain(self.time(cost), self.launch),
        }
    }

    fn map(&self, part: &Part<'_>) -> Mapped {
        let Some(binding) = &self.binding else { return Mapped::default() };
        let search = || part.shape.map(&binding.silicon.chip, &part.tuned.values);
        match &part.shape {
            Shape::Matmul(p) => {
                let bits = [p.groups, p.m, p.n, p.k].map(f64::to_bits);
                let key = [part.node as u64, bits[0], bits[1], bits[2], bits[3]];
                binding.memo.get(key, search)
            }
            _ => search(),
        }
    }

    /// How the parts of a kernel are mapped in a step; none where it keeps the roofline's time.
    pub fn mapping(&self, kernel: &PlanKernel, step: &Step) -> Vec<MappedPart> {
        let Some(binding) = &self.binding else { return vec![] };
        let cost = self.kernel(kernel, step);
        let mut parts = vec![];
        let host = cost.times[Resource::Host as usize];
        let found = self.parts(binding, kernel, (step, &cost), &mut |part| {
            let mapped = self.map(part);
            let floor = beside(part, &cost).max(host);
            let timed = Timed::within(mapped.seconds, 0.0, part.tuned.interval).at_least(floor);
            let all = gains(&part.shape, &binding.silicon.chip, &part.tuned.values);
            let held = |(lever, gain): (Lever, f64)| {
                (lever, timed.seconds / (mapped.seconds / gain).max(floor))
            };
            parts.push(MappedPart {
                shape: part.shape,
                format: part.format,
                mapped: Mapped { seconds: timed.seconds, ..mapped },
                range: timed.range.map(Seconds::new),
                basis: part.tuned.basis,
                origin: part.tuned.origin.clone(),
                gains: all.into_iter().map(held).collect(),
            });
        });
        if found.is_some() { parts } else { vec![] }
    }
}

/// Seconds that a stream's arithmetic needs at least, which no other kind of kernel leaves to it.
fn beside(part: &Part<'_>, cost: &KernelCost) -> f64 {
    let engines: &[Resource] = match part.shape.kind() {
        Kind::Stream => &[Resource::Matrix, Resource::Vector, Resource::Special],
        Kind::Whole => &[Resource::Vector, Resource::Special],
        _ => &[],
    };
    engines.iter().map(|r| cost.times[*r as usize]).fold(0.0, f64::max)
}
