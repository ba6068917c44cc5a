//! Gated linear unit (Shazeer, arXiv 2002.05202).

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, common_columns, share};
use super::{Activation, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y = f(gate) * up` element by element; SwiGLU with SiLU, GeGLU with GELU.
///
/// With a limit `L` it is gpt-oss's form, `y = f(min(gate, L)) * (clamp(up, -L, L) + 1)` (OpenAI,
/// gpt-oss, `gpt_oss/torch/model.py`).
///
/// Shapes: `gate, up, y: [M, F]`. Work per element: that of `f` plus 1 vector, plus 1 with a limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Rows (M).
    pub rows: Dim,
    /// Inner width of the feed-forward network (F).
    pub width: u64,
    /// The function on the gate.
    pub function: Activation,
    /// Bound on both inputs (L); 1 is then added to `up`.
    pub limit: Option<f64>,
}

impl Operator for Gate {
    const NAME: &'static str = "gate";
    const FORMULA: &'static str = "y = f(gate) up element by element, or f(min(gate, L)) (clamp(up, -L, L) + 1); f's operations + 1 or 2 vector each";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(self.rows, self.width);
        check(Self::NAME, operands, &[("gate", x), ("up", x)])?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let elements = self.rows.extent(step) * self.width as f64;
        let (vector, special) = self.function.operations();
        Work {
            vector: (vector + if self.limit.is_some() { 2.0 } else { 1.0 }) * elements,
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
        for m in 0..self.rows.extent(step) as usize {
            for i in 0..self.width as usize {
                let (gate, up) = (operands[0].at(m, i), operands[1].at(m, i));
                out.set(m, i, S::on(Engine::Vector, || self.value(gate, up)));
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

impl Gate {
    fn value<S: Scalar>(&self, gate: S, up: S) -> S {
        let Some(limit) = self.limit.map(S::constant) else {
            return self.function.apply(gate) * up;
        };
        let at_most = |x: S| -(-x).maximum(-limit);
        let up = at_most(up).maximum(-limit) + S::constant(1.0);
        self.function.apply(at_most(gate)) * up
    }
}
