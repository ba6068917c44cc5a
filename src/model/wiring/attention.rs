//! Attention with any number of key and value heads: MHA, GQA and MQA are one wiring.

use super::Wiring;
use crate::graph::{GraphError, NodeId, Source};
use crate::model::architecture::{Attention, Position, QkNorm};
use crate::op::{Buckets, KvAppend, PositionKeys, Rope, ScoreBias, Scores, Softmax, WeightedSum};
use crate::tensor::{Dim, Mask, Stripe, TensorType, WeightKind};

/// What the queries of an attention see, and in how many heads.
pub(super) struct Seen {
    pub(super) kv_heads: u64,
    pub(super) mask: Mask,
    /// A learned one reads the stack's table.
    pub(super) bias: Option<ScoreBias>,
}

impl Wiring<'_> {
    /// Projections, rotation, cache append, scores, softmax, weighted sum, output projection.
    pub(super) fn attention(
        &mut self,
        x: NodeId,
        window: Option<u64>,
    ) -> Result<NodeId, GraphError> {
        let a = self.arch.attention.clone();
        if let Some(latent) = &a.latent {
            return self.latent_attention(x, latent);
        }
        let (hidden, head_dim) = (self.arch.hidden, a.head_dim);
        let (heads, kv_heads) = (a.heads, a.kv_heads);
        let mask = window.map_or(Mask::Causal, |window| Mask::Sliding { window });

        let q = self.project("attn.q", x, (hidden, heads * head_dim), a.qkv_bias)?;
        let k_bias = a.qkv_bias && a.k_bias;
        let k = self.project("attn.k", x, (hidden, kv_heads * head_dim), k_bias)?;
        let v = self.project("attn.v", x, (hidden, kv_heads * head_dim), a.qkv_bias)?;
        let (q, k) = match a.qk_norm {
            QkNorm::None => (q, k),
            of => {
                let own = of == QkNorm::OwnHead;
                let q = self.head_norm("attn.q_norm", q, of.groups(heads, head_dim), own)?;
                (q, self.head_norm("attn.k_norm", k, of.groups(kv_heads, head_dim), own)?)
            }
        };
        let q = self.rotate("attn.rope_q", q, heads, window)?;
        let k = self.rotate("attn.rope_k", k, kv_heads, window)?;
        let keys = self.append("attn.append_k", k, (kv_heads, mask))?;
        let values = self.append("attn.append_v", v, (kv_heads, mask))?;

        let bias = match self.arch.position {
            Position::Alibi => Some(ScoreBias::Alibi),
            Position::AlibiBf16 => Some(ScoreBias::AlibiBf16 { first: 0, of: heads }),
            Position::Relative { buckets: count, max_distance } => {
                Some(ScoreBias::Relative(Buckets { count, max_distance, bidirectional: false }))
            }
            Position::TransformerXl => Some(ScoreBias::PositionKeys),
            Position::Rope { .. } | Position::Learned { .. } => None,
        };
        let seen = Seen { kv_heads, mask, bias };
        let out = self.attend("attn", &seen, [q, keys, values])?;
        self.project("attn.out", out, (heads * head_dim, hidden), a.out_bias)
    }

    /// Scores, softmax and weighted sum of queries, keys and values.
    pub(super) fn attend(
        &mut self,
        name: &str,
        &Seen { kv_heads, mask, bias }: &Seen,
        [q, keys, values]: [NodeId; 3],
    ) -> Result<NodeId, GraphError> {
        let Attention { heads, head_dim, scale, softcap, sinks, .. } = self.arch.attention;
        let mut operands = vec![q, keys];
        match bias {
            Some(ScoreBias::Relative(_)) => operands.extend(self.bias),
            Some(ScoreBias::PositionKeys) => operands.push(self.position_keys()?),
            _ => {}
        }
        let scores = Scores { heads, kv_heads, head_dim, mask, scale, softcap, bias };
        let scores = self.builder.apply(format!("{name}.scores"), scores, &operands)?;
        let mut operands = vec![scores];
        if sinks {
            let name = format!("{name}.sinks.weight");
            operands.push(self.weight(&name, WeightKind::Bias, 1, heads));
        }
        let weights = Softmax { heads, mask, sinks };
        let weights = self.builder.apply(format!("{name}.softmax"), weights, &operands)?;
        let sum = WeightedSum { heads, kv_heads, head_dim, mask, expanded: false };
        self.builder.apply(format!("{name}.weighted_sum"), sum, &[weights, values])
    }

    fn rotate(
        &mut self,
        name: &str,
        x: NodeId,
        heads: u64,
        window: Option<u64>,
    ) -> Result<NodeId, GraphError> {
        let head_dim = self.arch.attention.head_dim;
        match &self.arch.position {
            Position::Learned { .. }
            | Position::Alibi
            | Position::AlibiBf16
            | Position::TransformerXl
            | Position::Relative { .. } => Ok(x),
            &Position::Rope { theta, rotary_dim, pairing, ref scaling, local_theta } => {
                let (theta, scaling) = match local_theta.filter(|_| window.is_some()) {
                    Some(local) => (local, None),
                    None => (theta, scaling.clone()),
                };
                let rope = Rope {
                    heads,
                    head_dim,
                    rotary_dim,
                    theta,
                    pairing,
                    scaling,
                    stripe: Stripe::ALL,
                };
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
