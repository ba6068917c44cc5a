//! Attention softmax: the second third of attention.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, common_columns};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Mask, Step, TensorType};

/// `p[(q, k), h] = exp(s - max) / sum exp(s - max)` over the keys that query `q` sees.
///
/// Shapes: `s, p: [pairs, H]`. Work per query, head and `n` visible keys: `3 n` vector (subtract,
/// sum, multiply by the reciprocal), `n + 1` special.
#[derive(Debug, Clone, PartialEq)]
pub struct Softmax {
    /// Query heads (H).
    pub heads: u64,
    /// Visible pairs.
    pub mask: Mask,
}

impl Operator for Softmax {
    const NAME: &'static str = "softmax";
    const FORMULA: &'static str = "p = exp(s - max s) / sum exp(s - max s) per query and head; 3 vector and 1 special operations a pair, 1 special a row";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let scores = TensorType::activation(Dim::Pairs(self.mask), self.heads);
        check(Self::NAME, operands, &[("s", scores)])?;
        Ok(scores)
    }

    fn work(&self, step: &Step) -> Work {
        let heads = self.heads as f64;
        let scores = step.pairs(self.mask) * heads;
        Work {
            vector: 3.0 * scores,
            special: scores + step.tokens() * heads,
            reads: [scores, 0.0, 0.0],
            writes: scores,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        let heads = self.heads as f64;
        let pairs = step.pairs(self.mask);
        Pattern::Attention { heads, kv_heads: heads, head_dim: 0.0, pairs }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let mut first = 0;
        for s in step.sequences() {
            for i in 0..s.new {
                let rows = first..first + s.visible(i, self.mask).len();
                first = rows.end;
                for h in 0..self.heads as usize {
                    let scores: Vec<S> = rows.clone().map(|r| operands[0].at(r, h)).collect();
                    let weights = S::on(Engine::Vector, || normalise(&scores));
                    for (row, weight) in rows.clone().zip(weights) {
                        out.set(row, h, weight);
                    }
                }
            }
        }
    }

    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let layout = common_columns(operands);
        let heads = self.heads / layout.column_parts();
        Ok(Split::alike(Self { heads, ..self.clone() }, 1, layout))
    }

    fn groups(&self, _: usize) -> Option<u64> {
        Some(self.heads)
    }
}

fn normalise<S: Scalar>(scores: &[S]) -> Vec<S> {
    let max = scores.iter().copied().reduce(S::maximum).expect("invariant: a query sees a key");
    let exps: Vec<S> = scores.iter().map(|&s| (s - max).exp()).collect();
    let sum = exps.iter().fold(S::constant(0.0), |sum, &e| sum + e);
    let inverse = S::constant(1.0) / sum;
    exps.into_iter().map(|e| e * inverse).collect()
}
