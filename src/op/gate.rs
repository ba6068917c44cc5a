//! Gated linear unit (Shazeer, arXiv 2002.05202).

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, elementwise, share};
use super::{Activation, Choices, Operand, Operator, Pattern, Target, Work};
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
    /// The choices whose rows are computed, where they are not all; `routes` is then the last operand.
    pub choices: Option<Choices>,
}

impl Operator for Gate {
    const NAME: &'static str = "gate";
    const FORMULA: &'static str = "y = f(gate) up element by element, or f(min(gate, L)) (clamp(up, -L, L) + 1); f's operations + 1 or 2 vector each";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(self.rows, self.width);
        let routes = self.choices.as_ref().map(|c| ("routes", c.routes()));
        let expected: Vec<_> = [("gate", x), ("up", x)].into_iter().chain(routes).collect();
        check(Self::NAME, operands, &expected)?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let (rows, numbers) = Choices::filled(self.choices.as_ref(), self.rows, step);
        let elements = rows * self.width as f64;
        let (vector, special) = self.function.operations();
        Work {
            vector: (vector + if self.limit.is_some() { 2.0 } else { 1.0 }) * elements,
            special: special * elements,
            reads: [elements, elements, numbers],
            writes: elements,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for m in Choices::computed_rows(self.choices.as_ref(), self.rows, step, operands) {
            for i in 0..self.width as usize {
                let (gate, up) = (operands[0].at(m, i), operands[1].at(m, i));
                out.set(m, i, S::on(Engine::Vector, || self.value(gate, up)));
            }
        }
    }

    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let (layout, choices) = elementwise(place, &operands[..2], self.choices.as_ref());
        let width = share(self.width, layout.column_parts());
        let op = Self { width, choices, ..self.clone() };
        Ok(Split::rows(op, (2, operands.len()), layout))
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
