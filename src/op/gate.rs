//! Gated linear unit (Shazeer, arXiv 2002.05202).

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, common_columns, share};
use super::{Activation, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y = f(gate) * up` element by element; SwiGLU with SiLU, GeGLU with GELU.
///
/// Shapes: `gate, up, y: [T, F]`. Work per element: that of `f` plus 1 vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Inner width of the feed-forward network (F).
    pub width: u64,
    /// The function on the gate.
    pub function: Activation,
}

impl Operator for Gate {
    const NAME: &'static str = "gate";
    const FORMULA: &'static str =
        "y = f(gate) up element by element; f's operations + 1 vector each";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(Dim::Tokens, self.width);
        check(Self::NAME, operands, &[("gate", x), ("up", x)])?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let elements = step.tokens() * self.width as f64;
        let (vector, special) = self.function.operations();
        Work {
            vector: (vector + 1.0) * elements,
            special: special * elements,
            reads: [elements, elements, 0.0],
            writes: elements,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for t in 0..step.tokens() as usize {
            for i in 0..self.width as usize {
                let (gate, up) = (operands[0].at(t, i), operands[1].at(t, i));
                out.set(t, i, S::on(Engine::Vector, || self.function.apply(gate) * up));
            }
        }
    }

    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let layout = common_columns(operands);
        let width = share(self.width, layout.column_parts());
        Ok(Split::alike(Self { width, ..self.clone() }, 2, layout))
    }

    fn groups(&self, _: usize) -> Option<u64> {
        None
    }
}
