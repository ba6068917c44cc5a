//! The itemised cost of a request: every kernel by name, its demand, time, bound and share.

use super::bound::Bound;
use super::capacity::Capacity;
use super::estimator::Estimator;
use super::generation::Summary;
use super::kernel::KernelCost;
use super::request::{Request, RequestError, Steps};
use crate::mapping::PlanKernel;
use crate::tensor::Phase;
use crate::units::{Bytes, Flops, FlopsPerByte, Seconds};

/// One kernel of a phase; values are totals over its launches in one step (the mean step of a
/// decode span).
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorCost {
    /// Kernel name.
    pub name: String,
    /// Launches per step.
    pub count: u64,
    /// Matrix, vector and special operations of the operators.
    pub operations: [Flops; 3],
    /// Vector operations for format conversions.
    pub conversions: Flops,
    /// Bytes through every memory level.
    pub bytes: Bytes,
    /// Time.
    pub time: Seconds,
    /// Times of the resources on their own, indexed by [`super::Resource`], and of the launches.
    pub resource_times: [Seconds; 4],
    /// Time of the launches.
    pub launch_time: Seconds,
    /// Fraction of the phase's time.
    pub share: f64,
    /// What limits it.
    pub bound: Bound,
    /// Index of the kernel in the plan.
    pub kernel: usize,
}

/// One phase.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseCost {
    /// Which.
    pub phase: Phase,
    /// Steps of the phase in the request.
    pub steps: u64,
    /// Time of one step (the mean of a decode span).
    pub step_time: Seconds,
    /// Its kernels in order of execution.
    pub operators: Vec<OperatorCost>,
}

/// The itemised cost of a request on a machine.
#[derive(Debug, Clone, PartialEq)]
pub struct CostReport {
    /// The request.
    pub request: Request,
    /// Totals.
    pub summary: Summary,
    /// Memory against capacity.
    pub capacity: Capacity,
    /// The phases of the request.
    pub phases: Vec<PhaseCost>,
}

impl OperatorCost {
    /// All operations of the operators.
    pub fn flops(&self) -> Flops {
        self.operations.iter().copied().sum()
    }

    /// Operations per byte moved off chip; `None` without bytes.
    pub fn intensity(&self) -> Option<FlopsPerByte> {
        (self.bytes > Bytes::ZERO).then(|| self.flops() / self.bytes)
    }

    /// Name of the bound; a memory bound by the name of its level.
    pub fn bound_name<'a>(&self, slowest_level: &'a str) -> &'a str {
        self.bound.name(slowest_level)
    }
}

impl Estimator<'_> {
    /// The itemised cost of a request.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn report(&self, request: &Request) -> Result<CostReport, RequestError> {
        let summary = self.summary(request)?;
        let Steps { encode, prefill, decode } = request.steps(self.plan.footprint.start())?;
        let mut phases = vec![];
        for (phase, step) in [(Phase::Encode, encode), (Phase::Prefill, prefill)] {
            let Some(step) = step else { continue };
            phases.push(self.phase(phase, 1, |kernel| {
                let cost = self.kernel(kernel, &step);
                (cost, self.time(&cost))
            }));
        }
        if let Some(span) = decode {
            phases.push(self.phase(Phase::Decode, span.steps(), |k| self.span_mean(k, &span)));
        }
        let capacity = self.capacity(request, &summary.memory);
        Ok(CostReport { request: *request, summary, capacity, phases })
    }

    fn phase(
        &self,
        phase: Phase,
        steps: u64,
        cost: impl Fn(&PlanKernel) -> (KernelCost, f64),
    ) -> PhaseCost {
        let mut operators: Vec<OperatorCost> = vec![];
        let kernels = self.plan.kernels.iter().enumerate();
        for (index, kernel) in kernels.filter(|(_, k)| k.phases.contains(phase)) {
            let (one, time) = cost(kernel);
            let count = kernel.count as f64;
            let all = one * count;
            operators.push(OperatorCost {
                name: kernel.name.clone(),
                count: kernel.count,
                operations: all.operations.map(Flops::new),
                conversions: Flops::new(all.conversions),
                bytes: Bytes::new(all.bytes),
                time: Seconds::new(time * count),
                resource_times: all.times.map(Seconds::new),
                launch_time: Seconds::new(self.launch * count),
                share: 0.0,
                bound: self.bound(&one),
                kernel: index,
            });
        }
        let step_time: Seconds = operators.iter().map(|o| o.time).sum();
        for operator in &mut operators {
            operator.share = operator.time / step_time;
        }
        PhaseCost { phase, steps, step_time, operators }
    }
}
