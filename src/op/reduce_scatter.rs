//! Sum over the ranks of a group, each rank with its share of the tokens.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::{Exchange, MeshAxis, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y[m, :] = sum_q x_q[r S + m, :]` on rank `r` of `R`, for its `S = ceil(T / R)` tokens; zeros behind the
/// last token.
///
/// Shapes: `x: [T, W]` and `y: [S, W]` on each rank; `eval` takes and gives those of all ranks one behind
/// the other. Work of a rank: `(R - 1) / R T W` vector operations.
#[derive(Debug, Clone, PartialEq)]
pub struct ReduceScatter {
    /// Elements of a row (W).
    pub width: u64,
    /// Ranks (R).
    pub ranks: u64,
}

impl Operator for ReduceScatter {
    const NAME: &'static str = "reduce_scatter";
    const FORMULA: &'static str =
        "y = sum over R ranks of x, each rank its tokens; (R - 1) / R T W vector operations a rank";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(Dim::Tokens, self.width);
        check(Self::NAME, operands, &[("x", x)])?;
        Ok(TensorType::activation(Dim::Share(self.ranks), self.width))
    }

    fn work(&self, step: &Step) -> Work {
        let width = self.width as f64;
        let elements = step.tokens() * width;
        Work {
            vector: elements * (self.ranks - 1) as f64 / self.ranks as f64,
            reads: [elements, 0.0, 0.0],
            writes: Dim::Share(self.ranks).extent(step) * width,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        Pattern::Collective {
            exchange: Exchange::ReduceScatter,
            ranks: self.ranks,
            along: MeshAxis::Tensor,
            elements: step.tokens() * self.width as f64,
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (tokens, ranks) = (step.tokens() as usize, self.ranks as usize);
        for row in 0..Dim::Share(self.ranks).extent(step) as usize * ranks {
            for i in 0..self.width as usize {
                if row >= tokens {
                    out.set(row, i, S::constant(0.0));
                    continue;
                }
                let summands = (0..ranks).map(|r| operands[0].at(r * tokens + row, i));
                let sum = S::on(Engine::Vector, || summands.reduce(|sum, x| sum + x));
                out.set(row, i, sum.expect("invariant: a group has a rank"));
            }
        }
    }
}
