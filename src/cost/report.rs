//! The itemised cost of a request: every kernel by name, its demand, time, bound and share.

use super::bound::{Bound, Resource};
use super::capacity::Capacity;
use super::estimator::Estimator;
use super::generation::Summary;
use super::kernel::KernelCost;
use super::mapped::{MappedPart, Timed};
use super::request::{Request, RequestError, Steps};
use crate::mapping::PlanKernel;
use crate::tensor::{Phase, Step};
use crate::units::{Bytes, Flops, FlopsPerByte, Seconds};

/// One kernel of a phase; values are totals over its launches in one step (the mean step of a
/// decode span) of one micro-batch, in all stages of a pipeline.
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
    /// Bytes exchanged with other devices.
    pub exchanged: Bytes,
    /// Bytes from and to host memory.
    pub hosted: Bytes,
    /// Time.
    pub time: Seconds,
    /// What 80 % of measurements lie between; the time itself where kernels are not mapped.
    pub range: [Seconds; 2],
    /// Times of the resources on their own, indexed by [`super::Resource`], and of the launches.
    pub resource_times: [Seconds; Resource::ALL.len()],
    /// Time of the launches.
    pub launch_time: Seconds,
    /// Fraction of the phase's time.
    pub share: f64,
    /// What limits it.
    pub bound: Bound,
    /// Index of the kernel in the plan; `None` for what the stack's host takes.
    pub kernel: Option<usize>,
    /// How a launch of it is mapped, in a decode span in its middle step; empty where it takes the roofline's
    /// time.
    pub mapping: Vec<MappedPart>,
}

/// One phase.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseCost {
    /// Which.
    pub phase: Phase,
    /// Steps of the phase in the request.
    pub steps: u64,
    /// Micro-batches of a step that follow each other; the kernels are those of one.
    pub micro_batches: u64,
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

/// Name of what the stack's host takes, among the kernels of a phase.
pub const HOST: &str = "host";

impl OperatorCost {
    /// All operations of the operators.
    pub fn flops(&self) -> Flops {
        self.operations.iter().copied().sum()
    }

    /// Adds the same kernel of another stage of a pipeline, layer or step.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.operations = std::array::from_fn(|i| self.operations[i] + other.operations[i]);
        self.conversions += other.conversions;
        self.bytes += other.bytes;
        self.exchanged += other.exchanged;
        self.hosted += other.hosted;
        self.time += other.time;
        self.range = std::array::from_fn(|i| self.range[i] + other.range[i]);
        self.resource_times =
            std::array::from_fn(|i| self.resource_times[i] + other.resource_times[i]);
        self.launch_time += other.launch_time;
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
        let one = self.micro_batch(request);
        let Steps { encode, prefill, decode } = one.steps(&self.plan.footprint)?;
        let rounds = self.micro_batches(request);
        let mut phases = vec![];
        let behind = summary.prefill.map(|t| t - summary.encode.unwrap_or(Seconds::ZERO));
        let at_once = [(Phase::Encode, encode, summary.encode), (Phase::Prefill, prefill, behind)];
        for (phase, step, time) in at_once {
            let Some(step) = step else { continue };
            let mut phase = PhaseCost { micro_batches: rounds, ..self.step(phase, &step) };
            phase.step_time = time.unwrap_or(phase.step_time);
            phases.push(phase);
        }
        if let Some(span) = decode {
            let steps = (span.steps(), rounds);
            let mean = |k: &PlanKernel| self.span_mean(k, &span);
            let mut phase = self.phase(Phase::Decode, steps, &span.middle(), mean);
            phase.step_time = summary.decode_step.unwrap_or(phase.step_time);
            phases.push(phase);
        }
        let capacity = self.capacity(request, &summary.memory);
        Ok(CostReport { request: *request, summary, capacity, phases })
    }

    /// The itemised cost of one given step of a phase, in one micro-batch.
    pub fn step(&self, phase: Phase, step: &Step) -> PhaseCost {
        self.phase(phase, (1, 1), step, |kernel| {
            let cost = self.kernel(kernel, step);
            (cost, self.timed(kernel, step, &cost))
        })
    }

    fn phase(
        &self,
        phase: Phase,
        (steps, micro_batches): (u64, u64),
        shown: &Step,
        cost: impl Fn(&PlanKernel) -> (KernelCost, Timed),
    ) -> PhaseCost {
        let mut operators: Vec<OperatorCost> = vec![];
        let kernels = self.plan.kernels.iter().enumerate();
        for (index, kernel) in kernels.filter(|(_, k)| k.phases.contains(phase)) {
            let (one, time) = cost(kernel);
            let count = kernel.count as f64;
            let all = one * count;
            let earlier = operators.iter_mut().find(|o| o.name == kernel.name);
            let operator = OperatorCost {
                name: kernel.name.clone(),
                count: kernel.count,
                operations: all.operations.map(Flops::new),
                conversions: Flops::new(all.conversions),
                bytes: Bytes::new(all.bytes),
                exchanged: Bytes::new(all.exchanged),
                hosted: Bytes::new(all.hosted),
                time: Seconds::new(time.seconds * count),
                range: time.range.map(|edge| Seconds::new(edge * count)),
                resource_times: all.times.map(Seconds::new),
                launch_time: Seconds::new(time.launch * count),
                share: 0.0,
                bound: Self::bound(&one, &time),
                kernel: Some(index),
                mapping: vec![],
            };
            match earlier {
                Some(earlier) => earlier.add(&operator),
                None => {
                    let mapping = self.mapping(kernel, shown);
                    operators.push(OperatorCost { mapping, ..operator });
                }
            }
        }
        operators.extend(self.host(phase));
        let step_time: Seconds = operators.iter().map(|o| o.time).sum();
        for operator in &mut operators {
            operator.share = operator.time / step_time;
        }
        PhaseCost { phase, steps, micro_batches, step_time, operators }
    }

    /// What the stack's host takes, as an operator without work; `None` where it takes nothing that is known.
    fn host(&self, phase: Phase) -> Option<OperatorCost> {
        let (seconds, range) = self.binding.as_ref()?.host(phase);
        let time = Some(Seconds::new(seconds)).filter(|t| *t > Seconds::ZERO)?;
        Some(OperatorCost {
            name: HOST.to_owned(),
            count: 1,
            operations: [Flops::ZERO; 3],
            conversions: Flops::ZERO,
            bytes: Bytes::ZERO,
            exchanged: Bytes::ZERO,
            hosted: Bytes::ZERO,
            time,
            range: range.map(Seconds::new),
            resource_times: [Seconds::ZERO; Resource::ALL.len()],
            launch_time: time,
            share: 0.0,
            bound: Bound::Overhead,
            kernel: None,
            mapping: vec![],
        })
    }
}
