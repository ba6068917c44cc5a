//! The pieces of all ranks of a group, put together.

use super::infer::{InferError, check};
use super::scalar::Scalar;
use super::split::share;
use super::{Exchange, MeshAxis, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y[m, :] = x_0[m, :] ++ x_1[m, :] ++ ...` on every rank, cut at `W` columns: the pieces of the
/// last ranks may be padded.
///
/// Shapes: `x: [M, ceil(W / parts)]` and `y: [M, W]` on each of `R` ranks; where `parts` is below
/// `R`, neighbours hold the same piece. `eval` takes and gives those of all ranks one behind the
/// other. No arithmetic; the ranks read `M W` elements between them, and write as many each.
#[derive(Debug, Clone, PartialEq)]
pub struct AllGather {
    /// Rows (M).
    pub rows: Dim,
    /// Elements of a row of the result (W).
    pub width: u64,
    /// Pieces.
    pub parts: u64,
    /// Ranks (R), a multiple of the pieces.
    pub ranks: u64,
}

impl Operator for AllGather {
    const NAME: &'static str = "all_gather";
    const FORMULA: &'static str = "y = the columns of all ranks, on every rank; no arithmetic";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(self.rows, share(self.width, self.parts));
        check(Self::NAME, operands, &[("x", x)])?;
        Ok(TensorType::activation(self.rows, self.width))
    }

    fn work(&self, step: &Step) -> Work {
        let elements = self.rows.extent(step) * self.width as f64;
        Work {
            reads: [elements / self.ranks as f64, 0.0, 0.0],
            writes: elements,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        Pattern::Collective {
            exchange: Exchange::AllGather,
            ranks: self.ranks,
            along: MeshAxis::Tensor,
            elements: self.rows.extent(step) * self.width as f64,
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let rows = self.rows.extent(step) as usize;
        let piece = share(self.width, self.parts) as usize;
        let holders = (self.ranks / self.parts) as usize;
        for m in 0..rows {
            for i in 0..self.width as usize {
                let holder = i / piece * holders;
                let value = operands[0].at(holder * rows + m, i % piece);
                (0..self.ranks as usize).for_each(|r| out.set(r * rows + m, i, value));
            }
        }
    }
}
