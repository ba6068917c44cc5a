//! The positions of every sequence dealt to ranks, which hold the keys and values of theirs (A87).

use super::ShardError;
use crate::graph::rewrite::{Copy, Rewrite, rewrite};
use crate::graph::{Graph, NodeId, Source};
use crate::op::split::Rank;
use crate::op::{
    GatherKeys, KvAppend, MergeAttention, Op, PartialSoftmax, Position, Rope, ScoreBias, Scores,
    Softmax, SoftmaxSums, WeightedSum,
};
use crate::tensor::{Dim, Mask, Phase, Stripe};
use std::collections::BTreeMap;

/// The graph that one of several ranks runs which hold every `R`-th position of a sequence each.
///
/// In a prefill a rank has the new tokens of its positions, so that its step is one of `1 / R` of them, and
/// keys and values are gathered before attention ([`GatherKeys`]). In decoding every rank has all tokens, attends
/// to the keys of its positions, and [`MergeAttention`] puts the parts together. Weights are whole on every rank.
///
/// # Errors
/// Latent attention, an encoder and its cross-attention, or keys of positions.
pub fn context_parallel(graph: &Graph, rank: Rank, phase: Phase) -> Result<Graph, ShardError> {
    if rank.of == 1 {
        return Ok(graph.clone());
    }
    let stripe = Stripe { rank: rank.index, of: rank.of };
    let prefill = phase == Phase::Prefill;
    let (gathered, merged) = (BTreeMap::new(), BTreeMap::new());
    rewrite(Striped { copy: Copy::new(graph), stripe, prefill, gathered, merged })
}

struct Striped<'a> {
    copy: Copy<'a>,
    stripe: Stripe,
    /// Whether the rank's tokens are those of its positions.
    prefill: bool,
    /// Caches of all ranks.
    gathered: BTreeMap<NodeId, NodeId>,
    /// Behind each softmax in parts: its sums, and its sinks.
    merged: BTreeMap<NodeId, Vec<NodeId>>,
}

impl<'a> Rewrite<'a> for Striped<'a> {
    type Error = ShardError;

    fn copy(&mut self) -> &mut Copy<'a> {
        &mut self.copy
    }

    fn source(&mut self, id: NodeId, source: Source) -> NodeId {
        let node = self.copy.graph.node(id);
        let mut ty = node.ty;
        if (source, self.prefill) == (Source::Cache, false) {
            ty.rows = Dim::PastPart(self.stripe);
        }
        self.copy.builder.source(node.name.clone(), source, ty)
    }

    fn apply(&mut self, id: NodeId, op: &Op) -> Result<NodeId, ShardError> {
        let name = self.copy.graph.node(id).name.clone();
        let operands = self.copy.graph.operands(id);
        let mut made = self.copy.operands(id);
        let refused = || ShardError::Context { node: name.clone() };
        let op: Op = match op.clone() {
            Op::Rope(rope) if self.prefill => Rope { stripe: self.stripe, ..rope }.into(),
            Op::Position(position) if self.prefill => {
                Position { stripe: self.stripe, ..position }.into()
            }
            Op::KvAppend(append) => {
                let mask = self.attended(append.mask).ok_or_else(refused)?;
                let mask = if self.prefill { append.mask } else { mask };
                KvAppend { mask, ..append }.into()
            }
            Op::Scores(scores) if scores.bias != Some(ScoreBias::PositionKeys) => {
                made[1] = self.keys(operands[1])?;
                if let Some(values) = self.values(id) {
                    self.keys(values)?;
                }
                let mask = self.attended(scores.mask).ok_or_else(refused)?;
                Scores { mask, ..scores }.into()
            }
            Op::Softmax(softmax) => {
                let mask = self.attended(softmax.mask).ok_or_else(refused)?;
                if !self.prefill {
                    return self.parts(id, &name, Softmax { mask, ..softmax }, &made);
                }
                Softmax { mask, ..softmax }.into()
            }
            Op::WeightedSum(sum) => {
                made[1] = self.keys(operands[1])?;
                let mask = self.attended(sum.mask).ok_or_else(refused)?;
                let sum = WeightedSum { mask, ..sum };
                if !self.prefill {
                    return self.merge(&name, operands[0], sum, &made);
                }
                sum.into()
            }
            Op::Scores(_) | Op::LatentScores(_) | Op::Expand(_) | Op::PositionKeys(_) => {
                return Err(refused());
            }
            other => other,
        };
        Ok(self.copy.builder.apply(name, op, &made)?)
    }
}

impl Striped<'_> {
    /// The mask of a rank in the place of a causal or sliding one.
    const fn attended(&self, mask: Mask) -> Option<Mask> {
        let window = match mask {
            Mask::Causal => None,
            Mask::Sliding { window } => Some(window),
            _ => return None,
        };
        let stripe = self.stripe;
        Some(match self.prefill {
            true => Mask::Striped { stripe, window },
            false => Mask::Part { stripe, window },
        })
    }

    /// The keys or values that attention reads.
    fn keys(&mut self, cache: NodeId) -> Result<NodeId, ShardError> {
        let made = self.copy.made[&cache];
        if !self.prefill {
            return Ok(made);
        }
        if let Some(&gathered) = self.gathered.get(&cache) {
            return Ok(gathered);
        }
        let name = format!("{}.gather", self.copy.graph.node(cache).name);
        let Some(Op::KvAppend(KvAppend { kv_heads, head_dim, mask })) =
            self.copy.graph.op(cache).cloned()
        else {
            return Err(ShardError::Context { node: name });
        };
        let op = GatherKeys { kv_heads, head_dim, mask, ranks: self.stripe.of };
        let gathered = self.copy.builder.apply(name, op, &[made])?;
        self.gathered.insert(cache, gathered);
        Ok(gathered)
    }

    /// The values that are summed with the weights of these scores: gathered with the keys, before both
    /// are read.
    fn values(&self, scores: NodeId) -> Option<NodeId> {
        let weights = self.copy.graph.readers(scores).into_iter();
        let sums = weights.flat_map(|weights| self.copy.graph.readers(weights));
        let mut sums = sums.filter(|s| matches!(self.copy.graph.op(*s), Some(Op::WeightedSum(_))));
        sums.next().map(|sum| self.copy.graph.operands(sum)[1])
    }

    /// The part of a softmax over the rank's keys, with its sums.
    fn parts(
        &mut self,
        id: NodeId,
        name: &str,
        Softmax { heads, mask, .. }: Softmax,
        made: &[NodeId],
    ) -> Result<NodeId, ShardError> {
        let part = self.copy.builder.apply(name, PartialSoftmax { heads, mask }, &made[..1])?;
        let sums = SoftmaxSums { heads, mask };
        let sums = self.copy.builder.apply(format!("{name}.sums"), sums, &[made[0], part])?;
        self.merged.insert(id, [&[sums], &made[1..]].concat());
        Ok(part)
    }

    /// The weighted sum over the rank's keys, put together with those of the others.
    fn merge(
        &mut self,
        name: &str,
        softmax: NodeId,
        sum: WeightedSum,
        made: &[NodeId],
    ) -> Result<NodeId, ShardError> {
        let (heads, head_dim, ranks) = (sum.heads, sum.head_dim, self.stripe.of);
        let part = self.copy.builder.apply(name, sum, made)?;
        let Some(behind) = self.merged.get(&softmax) else {
            return Err(ShardError::Context { node: name.to_owned() });
        };
        let op = MergeAttention { heads, head_dim, ranks, sinks: behind.len() > 1 };
        let operands = [&[part], behind.as_slice()].concat();
        Ok(self.copy.builder.apply(format!("{name}.merge"), op, &operands)?)
    }
}
