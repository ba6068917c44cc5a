//! What a part of the keys adds to a softmax over all of them.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, common_columns};
use super::{Operand, Operator, Pattern, Target, Work, pairs};
use crate::tensor::{Dim, Mask, Step, TensorType};

/// `y[q, 2 h] = max_k s[(q, k), h]`, `y[q, 2 h + 1] = sum_k p[(q, k), h]` over visible pairs.
///
/// Shapes: `s, p: [pairs, H]`, `y: [T, 2 H]`. Work per pair and head: 1 vector; comparisons are free. Where a
/// query sees no key of the part, the maximum is the least number that there is, and the sum 0.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftmaxSums {
    /// Query heads (H).
    pub heads: u64,
    /// Visible pairs.
    pub mask: Mask,
}

impl Operator for SoftmaxSums {
    const NAME: &'static str = "softmax_sums";
    const FORMULA: &'static str = "y = max s and sum p over the visible keys of a query and head; 1 vector operation a pair and head";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let pairs = TensorType::activation(Dim::Pairs(self.mask), self.heads);
        check(Self::NAME, operands, &[("s", pairs), ("p", pairs)])?;
        Ok(TensorType::activation(Dim::Tokens, 2 * self.heads))
    }

    fn work(&self, step: &Step) -> Work {
        let scores = step.pairs(self.mask) * self.heads as f64;
        Work {
            vector: scores,
            reads: [scores, scores, 0.0],
            writes: step.tokens() * 2.0 * self.heads as f64,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        pairs::pattern(step, self.mask, self.heads)
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for (token, rows) in pairs::by_query(step, self.mask) {
            for h in 0..self.heads as usize {
                let least = S::constant(f64::MIN);
                let max = rows.clone().map(|r| operands[0].at(r, h)).fold(least, S::maximum);
                let parts = rows.clone().map(|r| operands[1].at(r, h));
                let sum = S::on(Engine::Vector, || parts.fold(S::constant(0.0), |sum, p| sum + p));
                out.set(token, 2 * h, max);
                out.set(token, 2 * h + 1, sum);
            }
        }
    }

    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let layout = common_columns(operands);
        let heads = self.heads / layout.column_parts();
        Ok(Split::alike(Self { heads, ..self.clone() }, 2, layout))
    }

    fn groups(&self, _: usize) -> Option<u64> {
        Some(self.heads)
    }
}
