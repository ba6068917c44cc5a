//! A whole request batch: prefill, the decode steps behind it, and the memory that they need.

use super::bound::{Bound, BoundSet};
use super::estimator::Estimator;
use super::kernel::KernelCost;
use super::span;
use crate::mapping::{Footprint, PlanKernel};
use crate::tensor::{Step, StepError};
use crate::units::{Bytes, Seconds};

/// What is asked of the model: one static batch (A18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Prefill of `prompt` tokens, which yields token 1, then `output - 1` decode steps at contexts
    /// `prompt + 1` to `prompt + output - 1`.
    Generation {
        /// Sequences.
        batch: u64,
        /// Prompt tokens per sequence.
        prompt: u64,
        /// Generated tokens per sequence.
        output: u64,
    },
    /// One prefill step over `context` tokens.
    Prefill {
        /// Sequences.
        batch: u64,
        /// Prompt tokens per sequence.
        context: u64,
    },
    /// One decode step whose new token makes the context `context` tokens long.
    Decode {
        /// Sequences.
        batch: u64,
        /// Tokens attended to, the new one included.
        context: u64,
    },
}

/// A request that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A step of it cannot be.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Nothing to generate.
    #[error("output is 0; expected at least one token")]
    NoOutput,
}

/// Memory that a request needs, at its largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// Weights, tied tensors once.
    pub weights: Bytes,
    /// KV cache at the longest context.
    pub kv: Bytes,
    /// Activations alive at the worst moment (A11).
    pub activations: Bytes,
}

/// The figures of a request, without names: what a sweep evaluates millions of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Prefill with the first token sampled: TTFT of an unloaded server.
    pub prefill: Option<Seconds>,
    /// Mean decode step: TPOT.
    pub decode_step: Option<Seconds>,
    /// All steps.
    pub total: Seconds,
    /// Memory.
    pub memory: Memory,
    /// What most of the prefill time is spent on.
    pub prefill_bound: Option<Bound>,
    /// What most of the decode time is spent on.
    pub decode_bound: Option<Bound>,
    /// Everything that bounds some kernel: the inputs that the times depend on.
    pub bounds: BoundSet,
}

impl Request {
    /// Sequences.
    pub const fn batch(&self) -> u64 {
        match *self {
            Self::Generation { batch, .. }
            | Self::Prefill { batch, .. }
            | Self::Decode { batch, .. } => batch,
        }
    }

    /// Longest context of a sequence.
    pub const fn longest_context(&self) -> u64 {
        match *self {
            Self::Generation { prompt, output, .. } => prompt.saturating_add(output),
            Self::Prefill { context, .. } | Self::Decode { context, .. } => context,
        }
    }

    /// The same request with another batch.
    pub const fn with_batch(self, batch: u64) -> Self {
        match self {
            Self::Generation { prompt, output, .. } => Self::Generation { batch, prompt, output },
            Self::Prefill { context, .. } => Self::Prefill { batch, context },
            Self::Decode { context, .. } => Self::Decode { batch, context },
        }
    }

    /// The prefill step and the contexts of the decode steps.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn steps(&self) -> Result<(Option<Step>, Option<DecodeSpan>), RequestError> {
        match *self {
            Self::Generation { output: 0, .. } => Err(RequestError::NoOutput),
            Self::Generation { batch, prompt, output } => {
                let prefill = Step::prefill(batch, prompt)?;
                let last = prompt.saturating_add(output - 1);
                let span = DecodeSpan { batch, first: prompt.saturating_add(1), last };
                if output > 1 {
                    Step::decode(batch, last)?;
                }
                Ok((Some(prefill), (output > 1).then_some(span)))
            }
            Self::Prefill { batch, context } => Ok((Some(Step::prefill(batch, context)?), None)),
            Self::Decode { batch, context } => {
                Step::decode(batch, context)?;
                Ok((None, Some(DecodeSpan { batch, first: context, last: context })))
            }
        }
    }
}

/// Decode steps of one batch over consecutive contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeSpan {
    /// Sequences.
    pub batch: u64,
    /// First context.
    pub first: u64,
    /// Last context.
    pub last: u64,
}

impl DecodeSpan {
    /// Number of steps.
    pub const fn steps(&self) -> u64 {
        self.last - self.first + 1
    }

    /// The step in the middle of the span.
    pub fn middle(&self) -> Step {
        self.step(self.first + (self.last - self.first) / 2)
    }

    /// The step at a context of the span.
    pub(super) fn step(&self, context: u64) -> Step {
        Step::decode(self.batch, context).expect("invariant: the span was checked at both ends")
    }
}

/// Seconds of a step, what most of them are spent on, and every bound that occurs.
#[derive(Debug, Clone, Copy)]
struct PhaseTime {
    time: f64,
    most: Bound,
    seen: BoundSet,
}

impl Estimator<'_> {
    /// Times, bounds and memory of a request.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn summary(&self, request: &Request) -> Result<Summary, RequestError> {
        let (prefill, decode) = request.steps()?;
        let prefill_time = prefill.as_ref().map(|step| self.step_time(step));
        let decode_time = decode.map(|span| self.span_time(&span));
        let steps = decode.map_or(0.0, |span| span.steps() as f64);
        let phase = |time: Option<PhaseTime>| time.map_or(0.0, |p| p.time);
        let total = phase(prefill_time) + phase(decode_time) * steps;
        let seen = |time: Option<PhaseTime>| time.map_or_else(BoundSet::default, |p| p.seen);
        Ok(Summary {
            prefill: prefill_time.map(|p| Seconds::new(p.time)),
            decode_step: decode_time.map(|p| Seconds::new(p.time)),
            total: Seconds::new(total),
            memory: Memory::of(&self.plan.footprint, request)?,
            prefill_bound: prefill_time.map(|p| p.most),
            decode_bound: decode_time.map(|p| p.most),
            bounds: seen(prefill_time).union(seen(decode_time)),
        })
    }

    fn step_time(&self, step: &Step) -> PhaseTime {
        self.total(|kernel| {
            let cost = self.kernel(kernel, step);
            (self.time(&cost), self.bound(&cost))
        })
    }

    /// Mean time of the steps of a span, and what most of it is spent on.
    fn span_time(&self, span: &DecodeSpan) -> PhaseTime {
        let first = span.step(span.first);
        self.total(|kernel| {
            let cost = self.kernel(kernel, &first);
            if kernel.sees_context && span.last > span.first {
                let (mean, time) = self.span_mean(kernel, span);
                (time, self.bound(&mean))
            } else {
                (self.time(&cost), self.bound(&cost))
            }
        })
    }

    /// Mean demand of a kernel over a span, and the mean of its time.
    pub(super) fn span_mean(&self, kernel: &PlanKernel, span: &DecodeSpan) -> (KernelCost, f64) {
        let mut mean = KernelCost::default();
        let mut longest = 0.0;
        for piece in span::pieces(span.first..=span.last, &self.plan.windows) {
            let first = self.kernel(kernel, &span.step(*piece.start()));
            let last = self.kernel(kernel, &span.step(*piece.end()));
            let steps = (piece.end() - piece.start() + 1) as f64;
            mean = mean + (first + last) * (steps / 2.0);
            longest += span::sum_of_longest(&first, &last, piece);
        }
        let steps = span.steps() as f64;
        (mean * (1.0 / steps), longest / steps + self.launch)
    }

    fn total(&self, cost: impl Fn(&PlanKernel) -> (f64, Bound)) -> PhaseTime {
        let mut by_bound = [0.0; Bound::ALL.len()];
        let mut total = 0.0;
        let mut seen = BoundSet::default();
        for kernel in &self.plan.kernels {
            let (time, bound) = cost(kernel);
            let time = time * kernel.count as f64;
            by_bound[bound.index()] += time;
            seen.insert(bound);
            total += time;
        }
        let most = (0..by_bound.len()).rev().max_by(|&a, &b| by_bound[a].total_cmp(&by_bound[b]));
        PhaseTime { time: total, most: Bound::ALL[most.unwrap_or(0)], seen }
    }
}

impl Memory {
    /// What a request needs under a plan's footprint: weights, the cache at its longest, and the
    /// activations of its larger phase.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn of(footprint: &Footprint, request: &Request) -> Result<Self, RequestError> {
        let (prefill, decode) = request.steps()?;
        let decode = decode.map(|span| span.step(span.last));
        let steps = prefill.iter().chain(decode.iter());
        Ok(Self {
            weights: footprint.weights.total,
            kv: footprint.kv(request.batch() as f64, request.longest_context()),
            activations: steps
                .map(|step| footprint.activations(step))
                .fold(Bytes::ZERO, Bytes::max),
        })
    }

    /// Everything together.
    pub fn total(&self) -> Bytes {
        self.weights + self.kv + self.activations
    }
}
