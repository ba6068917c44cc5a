//! Scores of multi-head latent attention: each head's own part, and a rotated part whose keys all
//! heads share.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError, attention};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Mask, Step, TensorType};

/// `s[(q, k), h] = scale (sum_r q[q, h, r] rotated[k, r] + sum_d q[q, h, P + d] key[k, h / (H/Hk), d])` for
/// every pair that the causal mask lets through (DeepSeek-V2, arXiv 2405.04434, equations 14 to 17).
///
/// Shapes: `q: [T, H (P + D)]`, `keys: [C, Hk D]`, `rotated: [C, P]`, `s: [pairs, H]`. The keys are those of
/// all heads, expanded from the latents in the step (`Hk = H`), or the cached latents themselves, which
/// all heads share (`Hk = 1`, `q` absorbed). Work per pair and head: `2 (P + D)` matrix, 1 vector.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentScores {
    /// Query heads (H).
    pub heads: u64,
    /// Key heads (Hk).
    pub kv_heads: u64,
    /// Elements of a head that have keys of their own (D).
    pub head_dim: u64,
    /// Rotated elements of a head (P).
    pub rotary_dim: u64,
    /// Factor on the scores.
    pub scale: f64,
    /// The keys are cached latents, not computed in the step.
    pub absorbed: bool,
}

/// Keys or values over the context: cached latents, or computed from them.
pub(super) fn over_context(absorbed: bool, heads: u64, head_dim: u64) -> TensorType {
    match absorbed {
        true => TensorType::cache(Dim::Context, heads, head_dim, Mask::Causal),
        false => TensorType::activation(Dim::Context, heads * head_dim),
    }
}

impl Operator for LatentScores {
    const NAME: &'static str = "latent_scores";
    const FORMULA: &'static str = "s[q,k,h] = scale (sum_r Q[q,h,r] R[k,r] + sum_d Q[q,h,P+d] K[k,h Hk/H,d]); 2 (P + D) matrix and 1 vector operations a pair and head";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let width = self.heads * (self.rotary_dim + self.head_dim);
        let expected = [
            ("q", TensorType::activation(Dim::Tokens, width)),
            ("keys", over_context(self.absorbed, self.kv_heads, self.head_dim)),
            ("rotated", TensorType::cache(Dim::Context, 1, self.rotary_dim, Mask::Causal)),
        ];
        check(Self::NAME, operands, &expected)?;
        Ok(TensorType::activation(Dim::Pairs(Mask::Causal), self.heads))
    }

    fn work(&self, step: &Step) -> Work {
        let scores = step.pairs(Mask::Causal) * self.heads as f64;
        let dim = (self.rotary_dim + self.head_dim) as f64;
        let context = step.context();
        Work {
            matrix: 2.0 * dim * scores,
            vector: scores,
            reads: [
                step.tokens() * self.heads as f64 * dim,
                context * (self.kv_heads * self.head_dim) as f64,
                context * self.rotary_dim as f64,
            ],
            writes: scores,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        Pattern::Attention {
            heads: self.heads as f64,
            kv_heads: self.kv_heads as f64,
            head_dim: (self.rotary_dim + self.head_dim) as f64,
            pairs: step.pairs(Mask::Causal),
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (q, keys, rotated) = (&operands[0], &operands[1], &operands[2]);
        let (own, turned) = (self.head_dim as usize, self.rotary_dim as usize);
        let mut pair = 0;
        for s in step.sequences() {
            for i in 0..s.new {
                for key in s.visible(i, Mask::Causal) {
                    let (query, row) = (s.first_token + i, s.first_context + key);
                    for h in 0..self.heads as usize {
                        let kv = h / (self.heads / self.kv_heads) as usize;
                        let first = h * (turned + own);
                        let dot = S::on(Engine::Matrix, || {
                            let shared = (0..turned).fold(S::constant(0.0), |sum, r| {
                                sum + q.at(query, first + r) * rotated.at(row, r)
                            });
                            (0..own).fold(shared, |sum, d| {
                                sum + q.at(query, first + turned + d) * keys.at(row, kv * own + d)
                            })
                        });
                        let score = S::on(Engine::Vector, || dot * S::constant(self.scale));
                        out.set(pair, h, score);
                    }
                    pair += 1;
                }
            }
        }
    }

    /// Heads of the rank; the rotated keys, and cached latents, are whole on each.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let (heads, kv_heads) = attention((self.heads, self.kv_heads), place, operands)?;
        let op =
            Self { heads: self.heads / heads, kv_heads: self.kv_heads / kv_heads, ..self.clone() };
        let (result, keys) = (Layout::columns(heads), Layout::columns(kv_heads));
        Ok(Split { op: op.into(), operands: vec![result, keys, Layout::Whole], result })
    }

    fn groups(&self, operand: usize) -> Option<u64> {
        Some([self.heads, self.kv_heads, 1][operand])
    }
}
