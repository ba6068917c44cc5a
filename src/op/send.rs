//! A value handed on to the next stage of a pipeline.

use super::infer::{InferError, check};
use super::scalar::Scalar;
use super::{Exchange, MeshAxis, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y = x`, on another device.
///
/// Shapes: `x, y: [M, W]`. No arithmetic; `M W` elements are read here and written there. Every
/// rank of a stage sends to its counterpart, so `eval` is that of one rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// Rows (M).
    pub rows: Dim,
    /// Elements of a row (W).
    pub width: u64,
}

impl Operator for Send {
    const NAME: &'static str = "send";
    const FORMULA: &'static str = "y = x on another device; no arithmetic";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(self.rows, self.width);
        check(Self::NAME, operands, &[("x", x)])?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let elements = self.rows.extent(step) * self.width as f64;
        Work { reads: [elements, 0.0, 0.0], writes: elements, ..Work::default() }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        Pattern::Collective {
            exchange: Exchange::Send,
            ranks: 1,
            along: MeshAxis::Pipeline,
            elements: self.rows.extent(step) * self.width as f64,
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for m in 0..self.rows.extent(step) as usize {
            for i in 0..self.width as usize {
                out.set(m, i, operands[0].at(m, i));
            }
        }
    }
}
