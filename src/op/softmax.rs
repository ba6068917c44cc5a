//! Attention softmax: the second third of attention.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, common_columns};
use super::{Operand, Operator, Pattern, Target, Work, pairs};
use crate::tensor::{Dim, Mask, Step, TensorType, WeightKind};

/// `p[(q, k), h] = exp(s - max) / sum exp(s - max)` over the keys that query `q` sees.
///
/// Shapes: `s, p: [pairs, H]`. Work per query, head and `n` visible keys: `3 n` vector (subtract,
/// sum, multiply by the reciprocal), `n + 1` special. A sink, `z: [1, H]`, is a learned score per
/// head that joins maximum and sum and has no value (gpt-oss, arXiv 2508.10925): 2 vector and 1
/// special operations more.
#[derive(Debug, Clone, PartialEq)]
pub struct Softmax {
    /// Query heads (H).
    pub heads: u64,
    /// Visible pairs.
    pub mask: Mask,
    /// Whether sink scores are the second operand.
    pub sinks: bool,
}

impl Operator for Softmax {
    const NAME: &'static str = "softmax";
    const FORMULA: &'static str = "p = exp(s - max s) / sum exp(s - max s) per query and head; 3 vector and 1 special operations a pair, 1 special a row";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let scores = TensorType::activation(Dim::Pairs(self.mask), self.heads);
        let sinks = TensorType::weight(WeightKind::Bias, 1, self.heads);
        let expected = [("s", scores), ("sinks", sinks)];
        check(Self::NAME, operands, &expected[..1 + usize::from(self.sinks)])?;
        Ok(scores)
    }

    fn work(&self, step: &Step) -> Work {
        let heads = self.heads as f64;
        let scores = step.pairs(self.mask) * heads;
        let rows = step.tokens() * heads;
        let (vector, special, sinks) =
            if self.sinks { (2.0 * rows, 2.0 * rows, heads) } else { (0.0, rows, 0.0) };
        Work {
            vector: 3.0 * scores + vector,
            special: scores + special,
            reads: [scores, sinks, 0.0],
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
                let scores: Vec<S> = rows.clone().map(|r| operands[0].at(r, h)).collect();
                let sink = self.sinks.then(|| operands[1].at(0, h));
                let weights = S::on(Engine::Vector, || normalise(&scores, sink));
                for (row, weight) in rows.clone().zip(weights) {
                    out.set(row, h, weight);
                }
            }
        }
    }

    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let layout = common_columns(&operands[..1]);
        let heads = self.heads / layout.column_parts();
        Ok(Split::alike(Self { heads, ..self.clone() }, operands.len(), layout))
    }

    fn groups(&self, _: usize) -> Option<u64> {
        Some(self.heads)
    }
}

fn normalise<S: Scalar>(scores: &[S], sink: Option<S>) -> Vec<S> {
    let all = scores.iter().copied().chain(sink);
    // Cross-attention over no source sees nothing.
    let Some(max) = all.reduce(S::maximum) else { return vec![] };
    let exps: Vec<S> = scores.iter().map(|&s| (s - max).exp()).collect();
    let sum = exps.iter().fold(S::constant(0.0), |sum, &e| sum + e);
    let sum = sink.map_or(sum, |sink| sum + (sink - max).exp());
    let inverse = S::constant(1.0) / sum;
    exps.into_iter().map(|e| e * inverse).collect()
}
