//! A value of the last stage of a pipeline, handed to all of them.

use super::infer::{InferError, check};
use super::scalar::Scalar;
use super::{Exchange, MeshAxis, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y = x` of the last stage, on every stage.
///
/// Shapes: `x, y: [M, W]` on each of `R` stages, where only the last one's `x` is read; `eval` takes and
/// gives those of all stages one behind the other. No arithmetic; the stages read `M W` elements between
/// them, and write as many each. FasterTransformer's T5 hands an encoder's result to its stages so
/// (`T5Encoder.cc`, `ftNcclBroadCast` from the last rank of the pipeline).
#[derive(Debug, Clone, PartialEq)]
pub struct Broadcast {
    /// Rows (M).
    pub rows: Dim,
    /// Elements of a row (W).
    pub width: u64,
    /// Stages (R).
    pub ranks: u64,
}

impl Operator for Broadcast {
    const NAME: &'static str = "broadcast";
    const FORMULA: &'static str = "y = x of the last stage, on every stage; no arithmetic";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(self.rows, self.width);
        check(Self::NAME, operands, &[("x", x)])?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let elements = self.rows.extent(step) * self.width as f64;
        let reads = [elements / self.ranks as f64, 0.0, 0.0];
        Work { reads, writes: elements, ..Work::default() }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        Pattern::Collective {
            exchange: Exchange::Broadcast,
            ranks: self.ranks,
            along: MeshAxis::Pipeline,
            elements: self.rows.extent(step) * self.width as f64,
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (rows, ranks) = (self.rows.extent(step) as usize, self.ranks as usize);
        for m in 0..rows {
            for i in 0..self.width as usize {
                let value = operands[0].at((ranks - 1) * rows + m, i);
                (0..ranks).for_each(|r| out.set(r * rows + m, i, value));
            }
        }
    }
}
