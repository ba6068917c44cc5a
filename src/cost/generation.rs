//! A whole request batch: prefill and the decode steps behind it.

use super::bound::{Bound, BoundSet, Resource};
use super::estimator::Estimator;
use super::kernel::KernelCost;
use super::mapped::Timed;
use super::memory::Memory;
use super::power::Load;
use super::request::{DecodeSpan, Request, RequestError, Steps};
use super::span;
use crate::graph::shard::Parallel;
use crate::mapping::{PlanKernel, Turn};
use crate::tensor::{Phase, Step};
use crate::units::{Bytes, Seconds};
use smallvec::SmallVec;

/// The figures of a request, without names: what a sweep evaluates millions of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The encode step; `None` without an encoder.
    pub encode: Option<Seconds>,
    /// Prefill with the first token sampled, behind an encoder with the encode step before it: TTFT
    /// of an unloaded server.
    pub prefill: Option<Seconds>,
    /// Mean decode step: TPOT.
    pub decode_step: Option<Seconds>,
    /// All steps.
    pub total: Seconds,
    /// Memory.
    pub memory: Memory,
    /// Prompts: fewer than sequences where several go on from one.
    pub prompts: u64,
    /// What most of the prefill time is spent on.
    pub prefill_bound: Option<Bound>,
    /// What most of the decode time is spent on.
    pub decode_bound: Option<Bound>,
    /// Everything that bounds some kernel: the inputs that the times depend on.
    pub bounds: BoundSet,
    /// What 80 % of measurements lie between, where kernels are mapped.
    pub ranges: Option<Ranges>,
    /// What one device does in each phase; `None` where a draft shares the decode steps.
    pub loads: Option<Loads>,
}

/// What one device does, the mean over those of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Loads {
    /// Until the first token.
    pub prefill: Option<Load>,
    /// In the mean decode step.
    pub decode_step: Option<Load>,
}

/// Low and high times that 80 % of measurements of the kernels lie between, as if all kernels erred alike.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ranges {
    /// Of the time to the first token.
    pub prefill: Option<[Seconds; 2]>,
    /// Of the mean decode step.
    pub decode_step: Option<[Seconds; 2]>,
}

/// Seconds of each stage of a pipeline.
type Stages = SmallVec<[f64; 8]>;

/// Seconds of a step, what most of them are spent on, and every bound that occurs.
#[derive(Debug, Clone)]
pub(super) struct PhaseTime {
    pub(super) time: f64,
    /// Of one micro-batch in each stage.
    pub(super) stages: Stages,
    /// Of one micro-batch where all stages run at once, on what the last has made.
    pub(super) together: f64,
    pub(super) most: Bound,
    pub(super) seen: BoundSet,
    /// Factors of the time that 80 % of measurements lie between.
    pub(super) factors: [f64; 2],
    /// What the stack's host adds once, whatever the number of micro-batches.
    pub(super) host: f64,
    /// Bytes, and seconds of matrix operations, of one micro-batch in all stages.
    load: [f64; 2],
}

impl PhaseTime {
    /// The low and the high time.
    fn range(&self) -> [Seconds; 2] {
        self.factors.map(|factor| Seconds::new(self.time * factor))
    }

    /// This step and another behind it; most of their time goes where the longer one's does.
    fn before(&self, next: Self) -> Self {
        let most = if self.time > next.time { self.most } else { next.most };
        let time = self.time + next.time;
        let load = std::array::from_fn(|i| self.load[i] + next.load[i]);
        let factors = std::array::from_fn(|i| {
            (self.time * self.factors[i] + next.time * next.factors[i]) / time
        });
        Self { time, most, seen: self.seen.union(next.seen), factors, load, ..next }
    }

    /// What one device of so many stages does over so many micro-batches.
    fn load(&self, micro_batches: u64) -> Load {
        let share = micro_batches as f64 / self.stages.len() as f64;
        let [bytes, matrix] = self.load.map(|all| all * share);
        Load { bytes: Bytes::new(bytes), matrix: Seconds::new(matrix) }
    }

    /// The time until so many micro-batches have passed all stages.
    pub(super) fn flow(mut self, micro_batches: u64) -> Self {
        let flow = Parallel::flow(&self.stages, micro_batches);
        self.time = flow + micro_batches as f64 * self.together + self.host;
        self
    }

    /// The time of one round of so many micro-batches that go through the stages in a ring.
    pub(super) fn round(mut self, micro_batches: u64) -> Self {
        let round = Parallel::round(&self.stages, micro_batches);
        self.time = round + micro_batches as f64 * self.together + self.host;
        self
    }
}

impl Estimator<'_> {
    /// Times, bounds and memory of a request.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn summary(&self, request: &Request) -> Result<Summary, RequestError> {
        let footprint = &self.plan.footprint;
        request.steps(footprint)?;
        let Steps { encode, prefill, decode } = self.micro_batch(request).steps(footprint)?;
        let rounds = self.micro_batches(request);
        let at_once = |phase, step: &Option<Step>| {
            step.as_ref().map(|step| self.step_time(phase, step).flow(rounds))
        };
        let encode_time = at_once(Phase::Encode, &encode);
        let prefill_time = at_once(Phase::Prefill, &prefill);
        let prefill_time = prefill_time.map(|time| match &encode_time {
            Some(encode) => encode.before(time),
            None => time,
        });
        let decode_time = decode.map(|span| self.span_time(&span).round(rounds));
        let steps = decode.map_or(0.0, |span| span.steps() as f64);
        let phase = |time: &Option<PhaseTime>| time.as_ref().map_or(0.0, |p| p.time);
        let total = phase(&prefill_time) + phase(&decode_time) * steps;
        let seen =
            |time: &Option<PhaseTime>| time.as_ref().map_or_else(BoundSet::default, |p| p.seen);
        Ok(Summary {
            encode: encode_time.as_ref().map(|p| Seconds::new(p.time)),
            prefill: prefill_time.as_ref().map(|p| Seconds::new(p.time)),
            decode_step: decode_time.as_ref().map(|p| Seconds::new(p.time)),
            total: Seconds::new(total),
            memory: Memory::of(self.plan, request)?,
            prompts: footprint.placement.layout.requests(request.batch()),
            prefill_bound: prefill_time.as_ref().map(|p| p.most),
            decode_bound: decode_time.as_ref().map(|p| p.most),
            bounds: seen(&prefill_time).union(seen(&decode_time)),
            ranges: self.binding.as_ref().map(|_| Ranges {
                prefill: prefill_time.as_ref().map(PhaseTime::range),
                decode_step: decode_time.as_ref().map(PhaseTime::range),
            }),
            loads: Some(Loads {
                prefill: prefill_time.as_ref().map(|p| p.load(rounds)),
                decode_step: decode_time.as_ref().map(|p| p.load(rounds)),
            }),
        })
    }

    /// What one micro-batch of a request asks for, the largest.
    pub fn micro_batch(&self, request: &Request) -> Request {
        request.with_batch(self.plan.parallel.micro_batch(request.batch()))
    }

    /// How many micro-batches follow each other.
    pub fn micro_batches(&self, request: &Request) -> u64 {
        self.plan.parallel.micro_batches(request.batch())
    }

    pub(super) fn step_time(&self, phase: Phase, step: &Step) -> PhaseTime {
        self.total(phase, |kernel| {
            let cost = self.kernel(kernel, step);
            (cost, self.timed(kernel, step, &cost))
        })
    }

    /// Mean time of the steps of a span, and what most of it is spent on.
    pub(super) fn span_time(&self, span: &DecodeSpan) -> PhaseTime {
        let first = span.step(span.first);
        self.total(Phase::Decode, |kernel| {
            let cost = self.kernel(kernel, &first);
            if kernel.sees_context && span.last > span.first {
                self.span_mean(kernel, span)
            } else {
                (cost, self.timed(kernel, &first, &cost))
            }
        })
    }

    /// Mean time of a verify step of `tokens` new tokens per sequence over the contexts of a span,
    /// each the context of its first token.
    ///
    /// While a window of `w` tokens fills, within `tokens` of `w`, the visible pairs are quadratic
    /// and taken as affine: at most `tokens^2 / 8` pairs per sequence too few.
    pub(super) fn verify_time(&self, span: &DecodeSpan, tokens: u64) -> PhaseTime {
        let bends = self.plan.windows.iter().flat_map(|&w| [w.saturating_sub(tokens - 1), w]);
        let mut cuts: Vec<u64> = bends.collect();
        cuts.sort_unstable();
        let step = |context| span.verify(context, tokens);
        self.total(Phase::Decode, |kernel| self.mean(kernel, span, &cuts, step))
    }

    /// Mean demand of a kernel over a span, and the mean of its time.
    pub(super) fn span_mean(&self, kernel: &PlanKernel, span: &DecodeSpan) -> (KernelCost, Timed) {
        self.mean(kernel, span, &self.plan.windows, |context| span.step(context))
    }

    /// Mean over the steps of a span, between whose `cuts` every resource time is affine.
    fn mean(
        &self,
        kernel: &PlanKernel,
        span: &DecodeSpan,
        cuts: &[u64],
        step: impl Fn(u64) -> Step,
    ) -> (KernelCost, Timed) {
        let mut mean = KernelCost::default();
        let mut longest = 0.0;
        let mut mapped = Timed::default();
        for piece in span::pieces(span.first..=span.last, cuts) {
            let first = self.kernel(kernel, &step(*piece.start()));
            let last = self.kernel(kernel, &step(*piece.end()));
            let steps = (piece.end() - piece.start() + 1) as f64;
            mean = mean + (first + last) * (steps / 2.0);
            if self.binding.is_some() {
                // Simpson's rule: times of mapped kernels are close to lines over a piece.
                let middle = step(piece.start() + (piece.end() - piece.start()) / 2);
                let between = self.kernel(kernel, &middle);
                let ends = (step(*piece.start()), step(*piece.end()));
                mapped = mapped.add(self.timed(kernel, &ends.0, &first), steps / 6.0);
                mapped = mapped.add(self.timed(kernel, &middle, &between), steps * 4.0 / 6.0);
                mapped = mapped.add(self.timed(kernel, &ends.1, &last), steps / 6.0);
            } else {
                longest += span::sum_of_longest(&first, &last, piece);
            }
        }
        let steps = span.steps() as f64;
        let time = match self.binding {
            Some(_) => Timed::default().add(mapped, 1.0 / steps),
            None => Timed::certain(longest / steps + self.launch, self.launch),
        };
        (mean * (1.0 / steps), time)
    }

    fn total(&self, phase: Phase, cost: impl Fn(&PlanKernel) -> (KernelCost, Timed)) -> PhaseTime {
        let mut by_bound = [0.0; Bound::ALL.len()];
        let mut stages = Stages::from_elem(0.0, self.plan.parallel.pipeline as usize);
        let mut together = stages.clone();
        let mut seen = BoundSet::default();
        let mut all = Timed::default();
        let mut load = [0.0; 2];
        for kernel in self.plan.kernels.iter().filter(|k| k.phases.contains(phase)) {
            let (cost, timed) = cost(kernel);
            let bound = Self::bound(&cost, &timed);
            let count = kernel.count as f64;
            load[0] += cost.bytes * count;
            load[1] += cost.times[Resource::Matrix as usize] * count;
            all = all.add(timed, count);
            let time = timed.seconds * count;
            by_bound[bound.index()] += time;
            seen.insert(bound);
            let turn = match kernel.turn {
                Turn::Through => &mut stages,
                Turn::Together => &mut together,
            };
            turn[kernel.stage as usize] += time;
        }
        let together = together.into_iter().fold(0.0, f64::max);
        let (host, range) = self.binding.as_ref().map_or((0.0, [0.0; 2]), |b| b.host(phase));
        by_bound[Bound::Overhead.index()] += host;
        let most = (0..by_bound.len()).rev().max_by(|&a, &b| by_bound[a].total_cmp(&by_bound[b]));
        let time = stages.iter().sum::<f64>() + together + host;
        let seconds = all.seconds + host;
        let edge = |i: usize| all.range[i] + range[i];
        let factor = |i: usize| if seconds > 0.0 { edge(i) / seconds } else { 1.0 };
        let (factors, most) = (std::array::from_fn(factor), Bound::ALL[most.unwrap_or(0)]);
        PhaseTime { time, stages, together, most, seen, factors, host, load }
    }
}
