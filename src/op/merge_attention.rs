//! The attention of ranks that hold a part of the keys each, put together.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, common_columns};
use super::{Exchange, MeshAxis, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType, WeightKind};

/// `y = sum_r e_r x_r / sum_r e_r l_r` per query and head, `e_r = exp(m_r - m)`, `m` the largest `m_r`, on every
/// rank `r` of `R`.
///
/// Shapes: `x, y: [T, H Dh]`, `sums: [T, 2 H]` with `m_r` and `l_r` of each head, `sinks: [1, H]`, which count once
/// in the sum below; `eval` takes and gives those of all ranks one behind the other. Work of a rank per query and
/// head: its share `1 / R` of `Dh (2 R + 1) + 3 R` vector and `R + 1` special operations, and of 2 vector and 1
/// special with sinks. The softmax merge of Flash-Decoding over devices as in Tree Attention (Shyam et al., arXiv
/// 2408.04093).
#[derive(Debug, Clone, PartialEq)]
pub struct MergeAttention {
    /// Query heads (H).
    pub heads: u64,
    /// Elements of a head (Dh).
    pub head_dim: u64,
    /// Ranks (R).
    pub ranks: u64,
    /// Whether the softmax has sinks.
    pub sinks: bool,
}

impl Operator for MergeAttention {
    const NAME: &'static str = "merge_attention";
    const FORMULA: &'static str = "y = sum over R ranks of exp(m_r - m) x_r / sum of exp(m_r - m) l_r per query and head, on every rank; (Dh (2 R + 1) + 3 R) / R vector and (R + 1) / R special operations a query and head";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(Dim::Tokens, self.heads * self.head_dim);
        let expected = [
            ("x", x),
            ("sums", TensorType::activation(Dim::Tokens, 2 * self.heads)),
            ("sinks", TensorType::weight(WeightKind::Bias, 1, self.heads)),
        ];
        check(Self::NAME, operands, &expected[..2 + usize::from(self.sinks)])?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let (ranks, dim) = (self.ranks as f64, self.head_dim as f64);
        let rows = step.tokens() * self.heads as f64;
        let (vector, special) = if self.sinks { (2.0, 1.0) } else { (0.0, 0.0) };
        let sinks = if self.sinks { self.heads as f64 / ranks } else { 0.0 };
        Work {
            vector: rows * (dim * (2.0 * ranks + 1.0) + 3.0 * ranks + vector) / ranks,
            special: rows * (ranks + 1.0 + special) / ranks,
            reads: [rows * dim, 2.0 * rows, sinks],
            writes: rows * dim,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        let rows = step.tokens() * self.heads as f64;
        Pattern::Collective {
            exchange: Exchange::AllReduce,
            ranks: self.ranks,
            along: MeshAxis::Context,
            elements: rows * (self.head_dim as f64 + 2.0),
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (tokens, dim) = (step.tokens() as usize, self.head_dim as usize);
        let ranks = || 0..self.ranks as usize;
        for t in 0..tokens {
            for h in 0..self.heads as usize {
                let sums = |r: usize, column: usize| operands[1].at(r * tokens + t, 2 * h + column);
                let sink = self.sinks.then(|| operands[2].at(0, h));
                let max = ranks().map(|r| sums(r, 0)).chain(sink).reduce(S::maximum);
                let max = max.expect("invariant: a group has a rank");
                let (factors, inverse) = S::on(Engine::Vector, || {
                    let factors: Vec<S> = ranks().map(|r| (sums(r, 0) - max).exp()).collect();
                    let parts = ranks().zip(&factors).map(|(r, &e)| e * sums(r, 1));
                    let sum = parts.fold(S::constant(0.0), |sum, part| sum + part);
                    let sum = match sink {
                        Some(sink) => sum + (sink - max).exp(),
                        None => sum,
                    };
                    (factors, S::constant(1.0) / sum)
                });
                for column in h * dim..(h + 1) * dim {
                    let parts = ranks().map(|r| operands[0].at(r * tokens + t, column));
                    let y = S::on(Engine::Vector, || {
                        let parts = parts.zip(&factors).map(|(x, &e)| e * x);
                        parts.fold(S::constant(0.0), |sum, part| sum + part) * inverse
                    });
                    ranks().for_each(|r| out.set(r * tokens + t, column, y));
                }
            }
        }
    }

    /// Heads of the rank in its tensor-parallel group.
    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let layout = common_columns(&operands[..2]);
        let heads = self.heads / layout.column_parts();
        Ok(Split::alike(Self { heads, ..self.clone() }, operands.len(), layout))
    }

    fn groups(&self, _: usize) -> Option<u64> {
        Some(self.heads)
    }
}
