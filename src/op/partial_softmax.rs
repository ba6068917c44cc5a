//! Softmax over a part of the keys, left unnormalised.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, common_columns};
use super::{Operand, Operator, Pattern, Target, Work, pairs};
use crate::tensor::{Dim, Mask, Step, TensorType};

/// `p[(q, k), h] = exp(s - m)` over visible pairs, `m` the largest score of a query and head.
///
/// Shapes: `s, p: [pairs, H]`. Work per pair and head: 1 vector and 1 special; comparisons are free. With
/// [`super::SoftmaxSums`] what a rank that holds a part of the keys knows of the whole softmax
/// (Flash-Decoding, Dao et al., 2023, crfm.stanford.edu/2023/10/12/flashdecoding.html).
#[derive(Debug, Clone, PartialEq)]
pub struct PartialSoftmax {
    /// Query heads (H).
    pub heads: u64,
    /// Visible pairs.
    pub mask: Mask,
}

impl Operator for PartialSoftmax {
    const NAME: &'static str = "partial_softmax";
    const FORMULA: &'static str = "p = exp(s - max s) over the visible keys of a query and head; 1 vector and 1 special operation a pair and head";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let scores = TensorType::activation(Dim::Pairs(self.mask), self.heads);
        check(Self::NAME, operands, &[("s", scores)])?;
        Ok(scores)
    }

    fn work(&self, step: &Step) -> Work {
        let scores = step.pairs(self.mask) * self.heads as f64;
        Work {
            vector: scores,
            special: scores,
            reads: [scores, 0.0, 0.0],
            writes: scores,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        pairs::pattern(step, self.mask, self.heads)
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for (_, rows) in pairs::by_query(step, self.mask) {
            for h in 0..self.heads as usize {
                let all = rows.clone().map(|r| operands[0].at(r, h));
                let Some(max) = all.reduce(S::maximum) else { continue };
                for row in rows.clone() {
                    let score = operands[0].at(row, h);
                    out.set(row, h, S::on(Engine::Vector, || (score - max).exp()));
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
