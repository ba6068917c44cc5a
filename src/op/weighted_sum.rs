//! Attention's weighted sum of values: the last third of attention.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError, attention};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Mask, Step, TensorType};

/// `o[q, h, :] = sum_k p[(q, k), h] value[k, h / (H/Hk), :]` over visible pairs.
///
/// Shapes: `p: [pairs, H]`, `values: [keys, Hk Dh]`, `o: [T, H Dh]`. Work: `2 Dh` matrix operations a
/// pair and head.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedSum {
    /// Query heads (H).
    pub heads: u64,
    /// Value heads (Hk), a divisor of H.
    pub kv_heads: u64,
    /// Elements of a head (Dh).
    pub head_dim: u64,
    /// Visible pairs.
    pub mask: Mask,
    /// The values are computed in the step over the whole context, not cached.
    pub expanded: bool,
}

impl Operator for WeightedSum {
    const NAME: &'static str = "weighted_sum";
    const FORMULA: &'static str = "o[q,h,:] = sum_k p[q,k,h] V[k,h Hk/H,:] over visible pairs; 2 Dh matrix operations a pair and head";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let p = TensorType::activation(Dim::Pairs(self.mask), self.heads);
        let values = match self.expanded {
            true => TensorType::activation(Dim::Context, self.kv_heads * self.head_dim),
            false => TensorType::keys(self.kv_heads, self.head_dim, self.mask),
        };
        check(Self::NAME, operands, &[("p", p), ("values", values)])?;
        Ok(TensorType::activation(Dim::Tokens, self.heads * self.head_dim))
    }

    fn work(&self, step: &Step) -> Work {
        let weights = step.pairs(self.mask) * self.heads as f64;
        let dim = self.head_dim as f64;
        let values = step.visible_context(self.mask) * self.kv_heads as f64 * dim;
        Work {
            matrix: 2.0 * dim * weights,
            reads: [weights, values, 0.0],
            writes: step.tokens() * self.heads as f64 * dim,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        Pattern::Attention {
            heads: self.heads as f64,
            kv_heads: self.kv_heads as f64,
            head_dim: self.head_dim as f64,
            pairs: step.pairs(self.mask),
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (p, values) = (&operands[0], &operands[1]);
        let dim = self.head_dim as usize;
        let mut first = 0;
        for s in step.sequences() {
            let first_key = step.first_key(&s, self.mask);
            for i in 0..s.new {
                let keys = s.visible(i, self.mask);
                for h in 0..self.heads as usize {
                    let kv = h / (self.heads / self.kv_heads) as usize;
                    for d in 0..dim {
                        let sum = S::on(Engine::Matrix, || {
                            (first..).zip(keys.clone()).fold(S::constant(0.0), |sum, (row, key)| {
                                sum + p.at(row, h) * values.at(first_key + key, kv * dim + d)
                            })
                        });
                        out.set(s.first_token + i, h * dim + d, sum);
                    }
                }
                first += keys.len();
            }
        }
    }

    /// Heads of the rank; where there are more ranks than value heads, neighbours hold the same.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let (heads, kv_heads) = attention((self.heads, self.kv_heads), place, operands)?;
        let op =
            Self { heads: self.heads / heads, kv_heads: self.kv_heads / kv_heads, ..self.clone() };
        let (result, values) = (Layout::columns(heads), Layout::columns(kv_heads));
        Ok(Split { op: op.into(), operands: vec![result, values], result })
    }

    fn groups(&self, operand: usize) -> Option<u64> {
        Some(if operand == 0 { self.heads } else { self.kv_heads })
    }
}
