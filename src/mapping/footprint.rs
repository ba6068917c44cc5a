//! What a plan keeps in memory: weights, KV cache, live activations.

use super::storage::Formats;
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::tensor::{Dim, Mask, Phase, Phases, Placement, Role, Slots, Step, WeightKind};
use crate::units::Bytes;
use std::collections::BTreeSet;

/// Weight bytes by purpose.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WeightBytes {
    /// All weights, tied tensors once.
    pub total: Bytes,
    /// The input embedding, unless the head reads it too.
    pub embedding_only: Bytes,
}

/// Memory demand as closed forms of batch and tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Footprint {
    /// Weights.
    pub weights: WeightBytes,
    /// Number of parameters, tied tensors once.
    pub parameters: u64,
    /// How the KV cache lies in memory, and what lies in host memory.
    pub placement: Placement,
    /// Ranks that the positions of a sequence are dealt to, each of which keeps its own; at least 1.
    pub context: u64,
    /// Per sequence: (tokens kept at most, bytes per token), one term per window length.
    kv: Vec<(Option<u64>, f64)>,
    /// Per sequence: bytes per position that an encoder keeps for cross-attention.
    cross: f64,
    /// Tokens that the decoder begins with behind an encoder; `None` without one.
    start: Option<u64>,
    /// Sets of activations that live at the same time, by phase; the largest counts.
    live: Vec<(Phases, LiveSet)>,
    /// Weights and caches counted, by first layer and name: graphs of one model share them.
    counted: BTreeSet<(u64, String)>,
}

/// Bytes of activations that live together, by what they scale with.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LiveSet {
    per_token: f64,
    per_logit_row: f64,
    per_pair: f64,
    /// Of values over the whole context.
    per_context: f64,
    mask: Mask,
}

impl LiveSet {
    /// Whether it is at least as large as another in every step.
    fn covers(&self, other: &Self) -> bool {
        self.per_token >= other.per_token
            && self.per_logit_row >= other.per_logit_row
            && self.per_pair >= other.per_pair
            && self.per_context >= other.per_context
            && (self.mask == other.mask || other.per_pair == 0.0)
    }
}

impl Default for Footprint {
    /// Nothing kept.
    fn default() -> Self {
        Self {
            weights: WeightBytes::default(),
            parameters: 0,
            placement: Placement::default(),
            context: 1,
            kv: vec![],
            cross: 0.0,
            start: None,
            live: vec![],
            counted: BTreeSet::new(),
        }
    }
}

impl Footprint {
    /// Adds what a graph keeps: weights and caches that no graph before it has, and its live
    /// activations.
    pub(super) fn add(&mut self, phases: Phases, graph: &Graph, formats: &Formats<'_>) {
        self.start = self.start.or(phases.start());
        self.live.extend(live_sets(graph, formats).into_iter().map(|set| (phases, set)));
        for (id, node) in graph.nodes() {
            let kept = matches!(
                (&node.kind, node.ty.role),
                (Kind::Source(Source::Weight), Role::Weight(_))
                    | (Kind::Apply(_), Role::KvCache { .. })
            );
            let layer = graph.region(id).first_layer + node.layer;
            if kept && self.counted.insert((layer, node.name.clone())) {
                self.keep(graph, formats, id);
            }
        }
    }

    fn keep(&mut self, graph: &Graph, formats: &Formats<'_>, id: NodeId) {
        let (ty, count) = (graph.node(id).ty, graph.region(id).count);
        match (ty.role, ty.rows) {
            (Role::Weight(kind), Dim::Fixed(rows)) => {
                let storages = formats.storages(id);
                let bits = storages.iter().map(|(s, n)| s.total_bits(rows, ty.width) * *n as f64);
                let bytes = Bytes::new(bits.sum::<f64>() / 8.0);
                self.parameters += rows * ty.width * count;
                self.weights.total += bytes;
                if kind == WeightKind::Embedding && graph.readers(id).len() == 1 {
                    self.weights.embedding_only += bytes;
                }
            }
            (Role::KvCache { window, .. }, rows) => {
                let bits = formats.bits_per_element(id) * ty.width as f64;
                let bytes = bits / 8.0 * count as f64;
                match rows {
                    Dim::Source => self.cross += bytes,
                    _ => self.add_cache(window, bytes),
                }
            }
            _ => {}
        }
    }

    fn add_cache(&mut self, window: Option<u64>, bytes: f64) {
        match self.kv.iter_mut().find(|(w, _)| *w == window) {
            Some((_, sum)) => *sum += bytes,
            None => self.kv.push((window, bytes)),
        }
    }

    /// Tokens that the decoder begins with behind an encoder; `None` without one.
    pub fn start(&self) -> Option<u64> {
        self.start
    }

    /// Keys and values that an encoder keeps for `batch` sequences of `source` positions each.
    pub fn cross_kv(&self, batch: f64, source: u64) -> Bytes {
        Bytes::new(batch * source as f64 * self.cross)
    }

    /// KV cache of `batch` sequences of `tokens` of the decoder each.
    pub fn kv(&self, batch: f64, tokens: u64) -> Bytes {
        let kept = |window: Option<u64>| {
            tokens.min(window.unwrap_or(u64::MAX)).div_ceil(self.context) as f64
        };
        Bytes::new(batch * self.kv.iter().map(|&(w, bytes)| kept(w) * bytes).sum::<f64>())
    }

    /// The KV cache of `batch` sequences with `slots` slots each in the layers without a window, and
    /// what an encoder keeps for them, `source` positions each, as the cache is laid out.
    pub fn kv_held(&self, batch: f64, slots: u64, source: u64) -> Bytes {
        let layout = &self.placement.layout;
        let held = |window: Option<u64>| {
            let slots = layout.within(slots, window);
            layout.known(slots.div_ceil(self.context)) as f64
        };
        Bytes::new(batch * self.kv.iter().map(|&(w, bytes)| held(w) * bytes).sum::<f64>())
            + self.cross_kv(batch, layout.known(source))
    }

    /// Bytes of slots in all layers: those held once, and those held per request. `slots` says how many
    /// a layer holds under a window.
    pub fn kv_of(&self, slots: impl Fn(Option<u64>) -> Slots) -> (Bytes, Bytes) {
        let mut sums = (Bytes::ZERO, Bytes::ZERO);
        for &(window, bytes) in &self.kv {
            let slots = slots(window);
            let bytes = bytes / self.context as f64;
            sums.0 += Bytes::new(slots.common * bytes);
            sums.1 += Bytes::new(slots.per_request * bytes);
        }
        sums
    }

    /// Bytes that one more token adds to the KV cache of a sequence shorter than any window.
    pub fn kv_per_token(&self) -> Bytes {
        Bytes::new(self.kv.iter().map(|&(_, bytes)| bytes).sum::<f64>() / self.context as f64)
    }

    /// Activations that live at the same time, at the worst moment of a phase's step.
    pub fn activations(&self, phase: Phase, step: &Step) -> Bytes {
        let bytes = |set: &LiveSet| {
            set.per_token * step.tokens()
                + set.per_logit_row * step.logit_rows()
                + set.per_pair * step.pairs(set.mask)
                + set.per_context * step.context()
        };
        let live = self.live.iter().filter(|(phases, _)| phases.contains(phase));
        Bytes::new(live.map(|(_, set)| bytes(set)).fold(0.0, f64::max))
    }

    /// Window lengths at which decode costs change their slope, ascending.
    pub(super) fn windows(&self) -> Vec<u64> {
        let mut windows: Vec<u64> = self.kv.iter().filter_map(|(w, _)| *w).collect();
        windows.sort_unstable();
        windows
    }
}

/// Expected rows that an operator writes for each token of the step, of choices of experts.
fn filled_per_token(graph: &Graph, id: NodeId) -> f64 {
    let one = Step::decode(1, 1).expect("invariant: one token is a step");
    let written = graph.op(id).map_or(0.0, |op| op.work(&one).writes);
    written / graph.node(id).ty.width as f64
}

/// The activations alive while each operator runs: written before or by it, and read by it or
/// later. Values that stay on chip do not count (A11).
fn live_sets(graph: &Graph, formats: &Formats<'_>) -> Vec<LiveSet> {
    let spans: Vec<(NodeId, usize, usize)> = graph
        .nodes()
        .filter(|(_, n)| matches!(n.kind, Kind::Apply(_)) && n.ty.role == Role::Activation)
        .filter_map(|(id, _)| {
            let off_chip = graph.readers(id).into_iter().filter(|&r| !graph.stays_on_chip(id, r));
            let last = off_chip.map(NodeId::index).max()?;
            Some((id, id.index(), last.max(id.index())))
        })
        .collect();
    let mut sets: Vec<LiveSet> = vec![];
    for (_, now, _) in &spans {
        let mut set = LiveSet {
            per_token: 0.0,
            per_logit_row: 0.0,
            per_pair: 0.0,
            per_context: 0.0,
            mask: Mask::Full,
        };
        for (id, _, _) in spans.iter().filter(|(_, from, to)| from <= now && now <= to) {
            let ty = graph.node(*id).ty;
            let bytes = formats.bits_per_element(*id) * ty.width as f64 / 8.0;
            match ty.rows {
                Dim::Tokens => set.per_token += bytes,
                Dim::Share(parts) => set.per_token += bytes / parts as f64,
                Dim::Routed(_) | Dim::Gathered(_) => {
                    set.per_token += bytes * filled_per_token(graph, *id);
                }
                Dim::Logits => set.per_logit_row += bytes,
                Dim::Pairs(mask) => {
                    set.per_pair += bytes;
                    set.mask = mask;
                }
                Dim::Frames(n) => set.per_token += bytes * n as f64,
                Dim::Context => set.per_context += bytes,
                Dim::AllContext(ranks) => set.per_context += bytes * ranks as f64,
                Dim::Fixed(_)
                | Dim::Past
                | Dim::PastPart(_)
                | Dim::ContextPart(_)
                | Dim::Source => {}
            }
        }
        if !sets.iter().any(|other| other.covers(&set)) {
            sets.retain(|other| !set.covers(other));
            sets.push(set);
        }
    }
    sets
}
