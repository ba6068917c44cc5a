//! Attention with any number of key and value heads: MHA, GQA and MQA are one wiring.

use super::Wiring;
use crate::graph::{GraphError, NodeId, Source};
use crate::model::architecture::Position;
use crate::op::{KvAppend, PositionKeys, Rope, ScoreBias, Scores, Softmax, WeightedSum};
use crate::tensor::{Dim, Mask, TensorType, WeightKind};

impl Wiring<'_> {
    /// Projections, rotation, cache append, scores, softmax, weighted sum, output projection.
    pub(super) fn attention(
        &mut self,
        x: NodeId,
        window: Option<u64>,
    ) -> Result<NodeId, GraphError> {
        let a = self.arch.attention.clone();
        let (hidden, head_dim) = (self.arch.hidden, a.head_dim);
        let (heads, kv_heads) = (a.heads, a.kv_heads);
        let mask = window.map_or(Mask::Causal, |window| Mask::Sliding { window });

        let q = self.project("attn.q", x, (hidden, heads * head_dim), a.qkv_bias)?;
        let k = self.project("attn.k", x, (hidden, kv_heads * head_dim), a.qkv_bias)?;
        let v = self.project("attn.v", x, (hidden, kv_heads * head_dim), a.qkv_bias)?;
        let (q, k) = if a.qk_norm {
            let q = self.norm("attn.q_norm", q, Dim::Tokens, (heads, head_dim))?;
            (q, self.norm("attn.k_norm", k, Dim::Tokens, (kv_heads, head_dim))?)
        } else {
            (q, k)
        };
        let q = self.rotate("attn.rope_q", q, heads, window)?;
        let k = self.rotate("attn.rope_k", k, kv_heads, window)?;
        let keys = self.append("attn.append_k", k, (kv_heads, mask))?;
        let values = self.append("attn.append_v", v, (kv_heads, mask))?;

        let (scale, softcap) = (a.scale, a.softcap);
        let bias = match self.arch.position {
            Position::Alibi => Some(ScoreBias::Alibi),
            Position::Relative => Some(ScoreBias::PositionKeys),
            Position::Rope { .. } | Position::Learned { .. } => None,
        };
        let mut read = vec![q, keys];
        if bias == Some(ScoreBias::PositionKeys) {
            read.push(self.position_keys()?);
        }
        let scores = Scores { heads, kv_heads, head_dim, mask, scale, softcap, bias };
        let scores = self.builder.apply("attn.scores", scores, &read)?;
        let mut operands = vec![scores];
        if a.sinks {
            operands.push(self.weight("attn.sinks.weight", WeightKind::Bias, 1, heads));
        }
        let weights = Softmax { heads, mask, sinks: a.sinks };
        let weights = self.builder.apply("attn.softmax", weights, &operands)?;
        let sum = WeightedSum { heads, kv_heads, head_dim, mask };
        let out = self.builder.apply("attn.weighted_sum", sum, &[weights, values])?;
        self.project("attn.out", out, (heads * head_dim, hidden), a.out_bias)
    }

    fn rotate(
        &mut self,
        name: &str,
        x: NodeId,
        heads: u64,
        window: Option<u64>,
    ) -> Result<NodeId, GraphError> {
        let head_dim = self.arch.attention.head_dim;
        match self.arch.position {
            Position::Learned { .. } | Position::Alibi | Position::Relative => Ok(x),
            Position::Rope { theta, rotary_dim, pairing, scaling, local_theta } => {
                let (theta, scaling) = match local_theta.filter(|_| window.is_some()) {
                    Some(local) => (local, None),
                    None => (theta, scaling),
                };
                let rope = Rope { heads, head_dim, rotary_dim, theta, pairing, scaling };
                self.builder.apply(name, rope, &[x])
            }
        }
    }

    /// Projected encodings of all distances, kept beside the keys: row `p` is that of a query `p`
    /// positions behind its key (A51).
    fn position_keys(&mut self) -> Result<NodeId, GraphError> {
        let (heads, head_dim) = (self.arch.attention.heads, self.arch.attention.head_dim);
        let (inputs, outputs) = (self.arch.hidden, heads * head_dim);
        let kind = WeightKind::Projection;
        let weight = self.weight("attn.position_keys.weight", kind, outputs, inputs);
        let keys = PositionKeys { inputs, outputs };
        let keys = self.builder.apply("attn.position_keys", keys, &[weight])?;
        self.append("attn.append_r", keys, (heads, Mask::Causal))
    }

    fn append(
        &mut self,
        name: &str,
        new: NodeId,
        (kv_heads, mask): (u64, Mask),
    ) -> Result<NodeId, GraphError> {
        let head_dim = self.arch.attention.head_dim;
        let past = TensorType::cache(Dim::Past, kv_heads, head_dim, mask);
        let past = self.builder.source(format!("{name}.past"), Source::Cache, past);
        self.builder.apply(name, KvAppend { kv_heads, head_dim, mask }, &[new, past])
    }
}
