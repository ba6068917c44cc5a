//! The memory that a request batch needs: weights, its KV cache and activations.

use super::request::{Request, RequestError, Steps};
use crate::graph::shard::Parallel;
use crate::mapping::{Footprint, Plan};
use crate::tensor::{Phase, Span};
use crate::units::Bytes;

/// Memory that a request needs, at its largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// Weights, tied tensors once.
    pub weights: Bytes,
    /// KV cache at the longest context, with what an encoder keeps.
    pub kv: Bytes,
    /// What no token ever fills of the cache, wherever it lies.
    pub kv_unused: Bytes,
    /// What all sequences share of the cache, wherever it lies: a prefix, held once.
    pub kv_common: Bytes,
    /// What lies in host memory.
    pub offloaded: Bytes,
    /// Activations alive at the worst moment (A11).
    pub activations: Bytes,
}

/// The KV cache of a number of sequences at its largest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cache {
    /// As it is laid out.
    pub(super) held: Bytes,
    /// What no token fills of it.
    pub(super) unused: Bytes,
    /// What all sequences share of it.
    pub(super) common: Bytes,
}

impl Cache {
    /// The cache of `sequences`, with room for `more` tokens behind the longest context.
    pub(super) fn of(
        footprint: &Footprint,
        request: &Request,
        sequences: u64,
        more: u64,
    ) -> Result<Self, RequestError> {
        let start = footprint.start();
        let layout = &footprint.placement.layout;
        let source = request.source(start);
        let tokens = request.longest_context(start).saturating_add(more);
        if let Some((sharing, block)) = layout.shared() {
            let requests = sharing.requests(sequences) as f64;
            let whole = Span { prompt: request.prompt(start), tokens, window: None };
            let mut held = footprint.cross_kv(requests, layout.known(source));
            let mut used = footprint.cross_kv(requests, source);
            let mut common = (Bytes::ZERO, Bytes::ZERO);
            for (count, sharing) in sharing.whole_and_rest(sequences) {
                let of = |window| Span { window, ..whole };
                let slots = footprint.kv_of(|window| sharing.held(of(window), block));
                let filled = footprint.kv_of(|window| sharing.used(of(window), block));
                held += slots.1 * count as f64;
                used += filled.1 * count as f64;
                common = (slots.0, filled.0);
            }
            let (held, used) = (held + common.0, used + common.1);
            return Ok(Self { held, unused: held - used, common: common.0 });
        }
        let slots = request.kv_slots(start, layout, more)?;
        let sequences = sequences as f64;
        let held = footprint.kv_held(sequences, slots, source);
        let used = footprint.kv(sequences, tokens) + footprint.cross_kv(sequences, source);
        Ok(Self { held, unused: held - used, common: Bytes::ZERO })
    }
}

impl Memory {
    /// What a request needs on a device of the stage that needs most: weights, the cache of its
    /// replica's sequences at its longest, and the activations of a micro-batch in its largest phase.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn of(plan: &Plan, request: &Request) -> Result<Self, RequestError> {
        let mut most: Option<Self> = None;
        for footprint in plan.footprints() {
            let memory = Self::on(footprint, &plan.parallel, request)?;
            if most.is_none_or(|m| memory.total() > m.total()) {
                most = Some(memory);
            }
        }
        Ok(most.expect("invariant: a plan has a stage"))
    }

    /// The same on a device of one stage.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn on(
        footprint: &Footprint,
        parallel: &Parallel,
        request: &Request,
    ) -> Result<Self, RequestError> {
        let batch = request.batch();
        let request_of_one = request.with_batch(parallel.micro_batch(batch));
        let Steps { encode, prefill, decode } = request_of_one.steps(footprint)?;
        let decode = decode.map(|span| span.step(span.last));
        let steps = [(Phase::Encode, encode), (Phase::Prefill, prefill), (Phase::Decode, decode)];
        let steps = steps.iter().filter_map(|(phase, step)| Some((*phase, step.as_ref()?)));
        let held = parallel.replica_batch(batch);
        let weights = footprint.weights.total;
        let cache = Cache::of(footprint, request, held, 0)?;
        let offload = footprint.placement.offload;
        let part = |there: bool, bytes| if there { bytes } else { Bytes::ZERO };
        Ok(Self {
            weights: part(!offload.weights, weights),
            kv: part(!offload.kv, cache.held),
            kv_unused: cache.unused,
            kv_common: cache.common,
            offloaded: part(offload.weights, weights) + part(offload.kv, cache.held),
            activations: steps
                .map(|(phase, step)| footprint.activations(phase, step))
                .fold(Bytes::ZERO, Bytes::max),
        })
    }

    /// Name and bytes of each part.
    pub fn parts(&self) -> Vec<(String, Bytes)> {
        let parts =
            [("weights", self.weights), ("KV cache", self.kv), ("activations", self.activations)];
        parts.map(|(name, bytes)| (name.to_owned(), bytes)).to_vec()
    }

    /// Everything together.
    pub fn total(&self) -> Bytes {
        self.weights + self.kv + self.activations
    }
}
