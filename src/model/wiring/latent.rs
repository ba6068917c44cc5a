//! Multi-head latent attention: a cache of latents that all heads share (DeepSeek-V2, arXiv
//! 2405.04434, section 2.1).
//!
//! A head's elements are its rotated ones, then its own. Expanded, keys and values of all heads are made
//! from the latents of the whole context; absorbed, queries and results are turned into the latents'
//! space, and attention runs over the cache as with one key head. Both compute the same. The parts of a
//! projection are weights of their own (A48); every rank keeps all latents (A49).

use super::Wiring;
use crate::graph::{GraphError, NodeId, Source};
use crate::model::architecture::{Latent, LatentForm, Position};
use crate::op::{Expand, Fold, HeadMatMul, KvAppend, LatentScores, Rope, Softmax, WeightedSum};
use crate::tensor::{Dim, Mask, Stripe, TensorType, WeightKind};

impl Wiring<'_> {
    /// Projections to latents and heads, cache append, attention in one of its forms, output.
    pub(super) fn latent_attention(
        &mut self,
        x: NodeId,
        latent: &Latent,
    ) -> Result<NodeId, GraphError> {
        let a = self.arch.attention.clone();
        let (hidden, heads) = (self.arch.hidden, a.heads);
        let (turned, own) = (self.rotated(), a.head_dim - self.rotated());
        let q = match latent.query {
            None => self.project("attn.q", x, (hidden, heads * a.head_dim), false)?,
            Some(width) => {
                let down = self.project("attn.q_down", x, (hidden, width), false)?;
                let down = self.norm("attn.q_norm", down, Dim::Tokens, (1, width))?;
                self.project("attn.q_up", down, (width, heads * a.head_dim), false)?
            }
        };
        let kept = self.project("attn.kv_down", x, (hidden, latent.key_value), false)?;
        let k = self.project("attn.k_rotated", x, (hidden, turned), false)?;
        let kept = self.norm("attn.kv_norm", kept, Dim::Tokens, (1, latent.key_value))?;
        let q = self.turn("attn.rope_q", q, (heads, a.head_dim))?;
        let k = self.turn("attn.rope_k", k, (1, turned))?;
        let latents = self.keep("attn.append_latent", kept, latent.key_value)?;
        let rotated = self.keep("attn.append_k", k, turned)?;

        let kind = WeightKind::Projection;
        let k_up = self.weight("attn.k_up.weight", kind, heads * own, latent.key_value);
        let v_up = self.weight("attn.v_up.weight", kind, heads * latent.value, latent.key_value);
        let absorbed = latent.form != LatentForm::Expanded;
        let fold = |passed, head_dim, fold| HeadMatMul {
            heads,
            passed,
            head_dim,
            latent: latent.key_value,
            fold,
        };
        let (q, keys, values) = if absorbed {
            let into = fold(turned, own, Fold::Into);
            (self.builder.apply("attn.absorb_q", into, &[q, k_up])?, latents, latents)
        } else {
            let expand = |outputs| Expand { latent: latent.key_value, outputs };
            let keys = self.builder.apply("attn.k_up", expand(heads * own), &[latents, k_up])?;
            let outputs = heads * latent.value;
            (q, keys, self.builder.apply("attn.v_up", expand(outputs), &[latents, v_up])?)
        };
        let (kv_heads, head_dim) = if absorbed { (1, latent.key_value) } else { (heads, own) };
        let scores = LatentScores {
            heads,
            kv_heads,
            head_dim,
            rotary_dim: turned,
            scale: a.scale,
            absorbed,
        };
        let scores = self.builder.apply("attn.scores", scores, &[q, keys, rotated])?;
        let mask = Mask::Causal;
        let softmax = Softmax { heads, mask, sinks: false };
        let weights = self.builder.apply("attn.softmax", softmax, &[scores])?;
        let head_dim = if absorbed { latent.key_value } else { latent.value };
        let sum = WeightedSum { heads, kv_heads, head_dim, mask, expanded: !absorbed };
        let mut out = self.builder.apply("attn.weighted_sum", sum, &[weights, values])?;
        if absorbed {
            let out_of = fold(0, latent.value, Fold::OutOf);
            out = self.builder.apply("attn.absorb_v", out_of, &[out, v_up])?;
        }
        self.project("attn.out", out, (heads * latent.value, hidden), false)
    }

    /// Rotated elements of a head.
    fn rotated(&self) -> u64 {
        match self.arch.position {
            Position::Rope { rotary_dim, .. } => rotary_dim,
            _ => 0,
        }
    }

    fn turn(
        &mut self,
        name: &str,
        x: NodeId,
        (heads, head_dim): (u64, u64),
    ) -> Result<NodeId, GraphError> {
        let Position::Rope { theta, rotary_dim, pairing, ref scaling, .. } = self.arch.position
        else {
            return Ok(x);
        };
        let (scaling, stripe) = (scaling.clone(), Stripe::ALL);
        let rope = Rope { heads, head_dim, rotary_dim, theta, pairing, scaling, stripe };
        self.builder.apply(name, rope, &[x])
    }

    fn keep(&mut self, name: &str, new: NodeId, head_dim: u64) -> Result<NodeId, GraphError> {
        let (kv_heads, mask) = (1, Mask::Causal);
        let past = TensorType::cache(Dim::Past, kv_heads, head_dim, mask);
        let past = self.builder.source(format!("{name}.past"), Source::Cache, past);
        self.builder.apply(name, KvAppend { kv_heads, head_dim, mask }, &[new, past])
    }
}
