//! Sum over the ranks of a group.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::{Exchange, MeshAxis, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y = sum_r x_r` on every rank `r` of `R`.
///
/// Shapes: `x, y: [M, W]` on each rank; `eval` takes and gives those of all ranks one behind the
/// other. Work of a rank: `(R - 1) / R M W` vector operations, its share of the sums, as in a
/// reduce-scatter with an all-gather behind it (Patarasuk and Yuan, 2009).
#[derive(Debug, Clone, PartialEq)]
pub struct AllReduce {
    /// Rows (M).
    pub rows: Dim,
    /// Elements of a row (W).
    pub width: u64,
    /// Ranks (R).
    pub ranks: u64,
}

impl Operator for AllReduce {
    const NAME: &'static str = "all_reduce";
    const FORMULA: &'static str =
        "y = sum over R ranks of x, on every rank; (R - 1) / R M W vector operations a rank";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(self.rows, self.width);
        check(Self::NAME, operands, &[("x", x)])?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let elements = self.rows.extent(step) * self.width as f64;
        Work {
            vector: elements * (self.ranks - 1) as f64 / self.ranks as f64,
            reads: [elements, 0.0, 0.0],
            writes: elements,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        Pattern::Collective {
            exchange: Exchange::AllReduce,
            ranks: self.ranks,
            along: MeshAxis::Tensor,
            elements: self.rows.extent(step) * self.width as f64,
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let rows = self.rows.extent(step) as usize;
        for m in 0..rows {
            for i in 0..self.width as usize {
                let summands = (0..self.ranks as usize).map(|r| operands[0].at(r * rows + m, i));
                let sum = S::on(Engine::Vector, || summands.reduce(|sum, x| sum + x));
                let sum = sum.expect("invariant: a group has a rank");
                (0..self.ranks as usize).for_each(|r| out.set(r * rows + m, i, sum));
            }
        }
    }
}
