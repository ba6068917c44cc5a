//! A request under speculative decoding: real draft steps and a real verify step on one machine.

use super::cycle::Cycle;
use super::draft::Speculated;
use super::optimal::{MAX_GAMMA, Optimum, optimal_gamma};
use crate::cost::estimator::{EstimateError, Estimator};
use crate::cost::generation::{PhaseTime, Ranges, Summary};
use crate::cost::memory::{Cache, Memory};
use crate::cost::request::{DecodeSpan, Request, RequestError, Steps};
use crate::mapping::Footprint;
use crate::tensor::{Phase, Step};
use crate::units::{Bytes, Seconds};
use crate::workload::Gamma;

/// Prices requests of a target with a drafter beside it.
#[derive(Debug)]
pub struct Speculator<'a> {
    target: Estimator<'a>,
    draft: Option<Estimator<'a>>,
    what: &'a Speculated,
}

/// What speculation does to the decode phase of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speculation {
    /// Times of a loop, at the mean over the request's contexts. Gamma is 0 where no draft pays.
    pub cycle: Cycle,
    /// Tokens that a loop yields on average.
    pub tokens: f64,
    /// Time per token (TPOT).
    pub per_token: Seconds,
    /// How many times as fast as plain decoding.
    pub speed_up: f64,
    /// Constant acceptance from which this gamma pays; `None` where it never does.
    pub break_even: Option<f64>,
    /// The draft's prefill.
    pub draft_prefill: Seconds,
    /// Weights of the draft, with a pipeline on a device of the first stage.
    pub draft_weights: Bytes,
    /// KV cache of the draft.
    pub draft_kv: Bytes,
}

/// A decode phase to speculate in, with what does not depend on gamma.
#[derive(Debug, Clone, Copy)]
struct Decode {
    span: DecodeSpan,
    plain: f64,
    /// A draft step.
    draft: f64,
    /// Micro-batches that follow each other.
    rounds: u64,
}

impl<'a> Speculator<'a> {
    /// Binds a drafter to the target's machine.
    ///
    /// # Errors
    /// The machine has no engine for a format that the draft computes in.
    pub fn new(target: Estimator<'a>, what: &'a Speculated) -> Result<Self, EstimateError> {
        let draft = what.draft.plan.as_ref();
        let draft = draft.map(|plan| target.beside(plan)).transpose()?;
        Ok(Self { target, draft, what })
    }

    /// Times, bounds and memory of a request, and what speculation does to its decode phase;
    /// without a decode phase there is none. Every draft step goes round the stages of a pipeline as the verify
    /// step does (A88).
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn summary(
        &self,
        request: &Request,
    ) -> Result<(Summary, Option<Speculation>), RequestError> {
        let plain = self.target.summary(request)?;
        let steps = self.target.micro_batch(request).steps(&self.target.plan.footprint)?;
        let decode = self.decode(steps.decode, request, &plain);
        let Some(decode) = decode else { return Ok((plain, None)) };
        let gamma = match self.what.gamma {
            Gamma::Fixed(gamma) => gamma,
            Gamma::Auto => self.optimum(&decode).gamma,
        };
        let rounds = decode.rounds;
        let draft_prefill = steps.prefill.is_some().then(|| self.draft_prefill(&steps, rounds));
        let verify = self.verify(&decode, gamma);
        let cycle = self.cycle(&decode, gamma);
        let per_token = cycle.per_token(&self.what.acceptance);
        let steps = decode.span.steps() as f64;
        let prefill = plain.prefill.map(|t| t + draft_prefill.unwrap_or(Seconds::ZERO));
        let (memory, draft_kv) = self.memory(request, gamma)?;
        let drafted = self.draft.as_ref().map(|d| d.span_time(&decode.span));
        let bounds = drafted.as_ref().map_or(plain.bounds, |d| plain.bounds.union(d.seen));
        let bounds = bounds.union(verify.seen);
        let edges = drafted.as_ref().map_or([1.0; 2], |d| d.factors);
        let decode_step = Some(std::array::from_fn(|i| {
            let loops = cycle.draft * edges[i] + cycle.verify * verify.factors[i];
            per_token * (loops / cycle.time())
        }));
        // What the draft's prompt takes is as certain as the target's.
        let prefill_range = plain.ranges.and_then(|r| r.prefill).map(|range| {
            range
                .map(|edge| edge * (prefill.zip(plain.prefill).map_or(1.0, |(all, one)| all / one)))
        });
        let summary = Summary {
            prefill,
            decode_step: Some(per_token),
            total: prefill.unwrap_or(Seconds::ZERO) + per_token * steps,
            memory,
            decode_bound: Some(verify.most),
            bounds,
            loads: None,
            ranges: plain.ranges.map(|_| Ranges { prefill: prefill_range, decode_step }),
            ..plain
        };
        let speculation = Speculation {
            cycle,
            tokens: self.what.acceptance.expected_tokens(gamma),
            per_token,
            speed_up: cycle.speed_up(&self.what.acceptance),
            break_even: cycle.break_even(),
            draft_prefill: draft_prefill.unwrap_or(Seconds::ZERO),
            draft_weights: self.what.draft.weights,
            draft_kv,
        };
        Ok((summary, Some(speculation)))
    }

    /// The gamma that gives the most tokens per second in a request's decode phase.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn optimal(&self, request: &Request) -> Result<Option<Optimum>, RequestError> {
        let plain = self.target.summary(request)?;
        let span = self.target.micro_batch(request).steps(&self.target.plan.footprint)?.decode;
        let decode = self.decode(span, request, &plain);
        Ok(decode.map(|decode| self.optimum(&decode)))
    }

    /// The loops of `1..=most` drafted tokens in a request's decode phase, at most as many as the
    /// drafter drafts.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn cycles(&self, request: &Request, most: u64) -> Result<Vec<Cycle>, RequestError> {
        let plain = self.target.summary(request)?;
        let span = self.target.micro_batch(request).steps(&self.target.plan.footprint)?.decode;
        let Some(decode) = self.decode(span, request, &plain) else { return Ok(vec![]) };
        Ok((1..=most.min(self.limit())).map(|gamma| self.cycle(&decode, gamma)).collect())
    }

    fn limit(&self) -> u64 {
        self.what.draft.drafter.limit().unwrap_or(MAX_GAMMA)
    }

    fn optimum(&self, decode: &Decode) -> Optimum {
        optimal_gamma(&self.what.acceptance, self.limit(), |gamma| self.cycle(decode, gamma))
    }

    fn decode(
        &self,
        span: Option<DecodeSpan>,
        request: &Request,
        plain: &Summary,
    ) -> Option<Decode> {
        let (span, plain) = (span?, plain.decode_step?.get());
        let rounds = self.target.micro_batches(request);
        let step = |draft: &Estimator<'_>| draft.span_time(&span).round(rounds).time;
        let draft = self.draft.as_ref().map_or(0.0, step);
        Some(Decode { span, plain, draft, rounds })
    }

    fn cycle(&self, decode: &Decode, gamma: u64) -> Cycle {
        Cycle {
            gamma,
            draft: Seconds::new(decode.draft * gamma as f64),
            verify: Seconds::new(self.verify(decode, gamma).time),
            plain: Seconds::new(decode.plain),
        }
    }

    fn verify(&self, decode: &Decode, gamma: u64) -> PhaseTime {
        self.target.verify_time(&decode.span, gamma + 1).round(decode.rounds)
    }

    /// The draft's own encode and prefill steps.
    fn draft_prefill(&self, steps: &Steps, rounds: u64) -> Seconds {
        let phases = [(Phase::Encode, &steps.encode), (Phase::Prefill, &steps.prefill)];
        let once = |draft: &Estimator<'_>| -> f64 {
            let steps = phases.iter().filter_map(|(phase, step)| Some((*phase, step.as_ref()?)));
            // The host's part of a request is the target's.
            let own = |time: PhaseTime| time.time - time.host;
            steps.map(|(phase, step)| own(draft.step_time(phase, step).flow(rounds))).sum()
        };
        let once = self.draft.as_ref().map_or(0.0, once);
        Seconds::new(once * self.what.draft.prefills as f64)
    }

    /// Tokens that target and draft begin with behind their encoders.
    fn start(&self) -> Option<u64> {
        self.target.plan.footprint.start()
    }

    /// Memory of target and draft together on a device of each stage, and the draft's cache there.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn stages(
        &self,
        request: &Request,
        gamma: u64,
    ) -> Result<Vec<(Memory, Bytes)>, RequestError> {
        let drafts = self.what.draft.plan.iter().flat_map(|plan| plan.footprints().map(Some));
        let drafts = drafts.chain(std::iter::repeat(None));
        let stages = self.target.plan.footprints().zip(drafts);
        stages.map(|(target, draft)| self.stage(request, gamma, target, draft)).collect()
    }

    /// The same of the stage that needs most.
    fn memory(&self, request: &Request, gamma: u64) -> Result<(Memory, Bytes), RequestError> {
        let mut stages = self.stages(request, gamma)?.into_iter();
        let first = stages.next().expect("invariant: a plan has a stage");
        Ok(stages.fold(first, |most, s| if s.0.total() > most.0.total() { s } else { most }))
    }

    /// The same on a device of one stage. Both keep the drafted tokens of a loop; their activations take
    /// turns.
    fn stage(
        &self,
        request: &Request,
        gamma: u64,
        target: &Footprint,
        draft: Option<&Footprint>,
    ) -> Result<(Memory, Bytes), RequestError> {
        let start = self.start();
        let tokens = request.longest_context(start).saturating_add(gamma);
        let source = request.source(start);
        let parallel = &self.target.plan.parallel;
        let (held, running) =
            (parallel.replica_batch(request.batch()), parallel.micro_batch(request.batch()));
        let verify = Step::verify(running, gamma + 1, tokens - gamma - 1)?.with_source(source)?;
        let kept = |f: &Footprint| Cache::of(f, request, held, gamma);
        let plain = Memory::on(target, parallel, request)?;
        let (offload, cache) = (target.placement.offload, kept(target)?);
        let part = |there: bool, bytes| if there { bytes } else { Bytes::ZERO };
        let weights = match (parallel.pipeline, draft) {
            (1, _) => self.what.draft.weights,
            (_, draft) => draft.map_or(Bytes::ZERO, |draft| draft.weights.total),
        };
        let mut memory = Memory {
            weights: plain.weights + part(!offload.weights, weights),
            kv: part(!offload.kv, cache.held),
            kv_unused: cache.unused,
            kv_common: cache.common,
            offloaded: part(offload.weights, target.weights.total + weights)
                + part(offload.kv, cache.held),
            activations: plain.activations.max(target.activations(Phase::Decode, &verify)),
        };
        let Some(draft) = draft else { return Ok((memory, Bytes::ZERO)) };
        let cache = kept(draft)?;
        let caches = self.what.draft.caches as f64;
        let kv = cache.held * caches;
        memory.kv += part(!offload.kv, kv);
        memory.kv_unused += cache.unused * caches;
        memory.kv_common += cache.common * caches;
        memory.offloaded += part(offload.kv, kv);
        let drafting = Memory::on(draft, parallel, request)?.activations;
        memory.activations = memory.activations.max(drafting);
        Ok((memory, kv))
    }
}
