//! Residual addition.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError, share};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y = a + b` element by element.
///
/// Shapes: `a, b, y: [M, D]`. Work: 1 vector operation per element.
#[derive(Debug, Clone, PartialEq)]
pub struct Add {
    /// Rows (M): the tokens, or a rank's share of them.
    pub rows: Dim,
    /// Features (D).
    pub width: u64,
}

impl Operator for Add {
    const NAME: &'static str = "add";
    const FORMULA: &'static str = "y = a + b element by element; 1 vector operation each";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(self.rows, self.width);
        check(Self::NAME, operands, &[("a", x), ("b", x)])?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let elements = self.rows.extent(step) * self.width as f64;
        Work {
            vector: elements,
            reads: [elements, elements, 0.0],
            writes: elements,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for t in 0..self.rows.extent(step) as usize {
            for i in 0..self.width as usize {
                let (a, b) = (operands[0].at(t, i), operands[1].at(t, i));
                out.set(t, i, S::on(Engine::Vector, || a + b));
            }
        }
    }

    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let shares = operands.iter().all(|o| place.shares(*o));
        if shares && operands.contains(&Some(Layout::Tokens)) {
            let op = Self { rows: Dim::Share(place.rank.of), ..self.clone() };
            return Ok(Split::alike(op, 2, Layout::Tokens));
        }
        let layout = match *operands {
            [Some(a), Some(b)] if a == b => a,
            _ => Layout::Whole,
        };
        let width = share(self.width, layout.column_parts());
        Ok(Split::alike(Self { width, ..self.clone() }, 2, layout))
    }
}
