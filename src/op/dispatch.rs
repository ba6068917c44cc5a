//! Tokens sent to the ranks that hold their experts.

use super::dealing::Dealing;
use super::infer::{InferError, check};
use super::scalar::Scalar;
use super::split::{Found, Layout, Place, Split, SplitError};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y[s T + t, :] = x_s[t, :]` on rank `q`, for the tokens of every rank `s` of `R` that chose one of the
/// experts of `q`.
///
/// Shapes: `x: [T, W]`, `routes: [T, 2 k]` and `y: [R T, W]` on each rank, the other rows of `y` empty;
/// `eval` takes and gives those of all ranks one behind the other. No arithmetic. A token goes once to a
/// rank however many of its experts are there (A85), as in DeepSeek-V3 (arXiv 2412.19437, section 3.2.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// Elements of a row (W).
    pub width: u64,
    /// Where the experts are.
    pub dealing: Dealing,
}

impl Operator for Dispatch {
    const NAME: &'static str = "dispatch";
    const FORMULA: &'static str =
        "y = the tokens of R ranks that chose an expert held here; no arithmetic";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(Dim::Tokens, self.width);
        let routes = TensorType::activation(Dim::Tokens, 2 * self.dealing.active);
        check(Self::NAME, operands, &[("x", x), ("routes", routes)])?;
        Ok(TensorType::activation(Dim::Gathered(self.dealing.ranks), self.width))
    }

    fn work(&self, step: &Step) -> Work {
        let (tokens, width) = (step.tokens(), self.width as f64);
        let sent = self.dealing.all.tokens(tokens) * width;
        Work {
            reads: [sent, tokens * self.dealing.active as f64, 0.0],
            writes: self.dealing.received(step) * width,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        self.dealing.exchange(step, self.width)
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let rows = self.dealing.ranks as usize * step.tokens() as usize;
        for row in 0..rows {
            for q in self.dealing.targets(&operands[1], row) {
                for i in 0..self.width as usize {
                    out.set(q * rows + row, i, operands[0].at(row, i));
                }
            }
        }
    }

    /// Each rank of a tensor-parallel group sends to the ranks in its own place.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let op = Self { dealing: self.dealing.dealt(place), ..self.clone() };
        let operands = vec![Layout::Whole; operands.len()];
        Ok(Split { op: op.into(), operands, result: Layout::Whole })
    }
}
