//! Keeping only the rows that get logits.

use super::infer::{InferError, check};
use super::scalar::Scalar;
use super::split::{Found, Layout, Place, Split, SplitError, share};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Logits, Step, TensorType};

/// The last new row of each sequence, or every row in a verify step.
///
/// Shapes: `x: [T, D]`, `y: [L, D]`, L the rows that get logits. No arithmetic.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// Features (D).
    pub width: u64,
}

impl Operator for Select {
    const NAME: &'static str = "select";
    const FORMULA: &'static str = "y = the rows of x that get logits";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(Dim::Tokens, self.width);
        check(Self::NAME, operands, &[("x", x)])?;
        Ok(TensorType::activation(Dim::Logits, self.width))
    }

    fn work(&self, step: &Step) -> Work {
        let elements = step.logit_rows() * self.width as f64;
        Work { reads: [elements, 0.0, 0.0], writes: elements, ..Work::default() }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Gather
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let mut row = 0;
        for s in step.sequences() {
            let first = match step.logits() {
                Logits::Last => s.new - 1,
                Logits::All => 0,
            };
            for i in first..s.new {
                for d in 0..self.width as usize {
                    out.set(row, d, operands[0].at(s.first_token + i, d));
                }
                row += 1;
            }
        }
    }

    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError> {
        // The rows that get logits are not in order of the ranks.
        let layout = operands[0].filter(|l| *l != Layout::Tokens).unwrap_or(Layout::Whole);
        let width = share(self.width, layout.column_parts());
        Ok(Split::alike(Self { width }, 1, layout))
    }
}
