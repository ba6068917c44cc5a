//! What experts made of tokens, sent back to the ranks that the tokens came from.

use super::dealing::Dealing;
use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y[t, :] = sum_q x_q[r T + t, :]` on rank `r`, over the ranks `q` of `R` that hold an expert of token `t`.
///
/// Shapes: `x: [R T, W]`, `routes: [T, 2 k]` and `y: [T, W]` on each rank; `eval` takes and gives those of
/// all ranks one behind the other. The way back of a [`super::Dispatch`]: a rank sends one row for a token, the
/// sum over its experts. Work: 1 vector operation per element that comes back.
#[derive(Debug, Clone, PartialEq)]
pub struct ReturnTokens {
    /// Elements of a row (W).
    pub width: u64,
    /// Where the experts are.
    pub dealing: Dealing,
}

impl Operator for ReturnTokens {
    const NAME: &'static str = "return_tokens";
    const FORMULA: &'static str = "y = sum over the ranks that hold an expert of the token of what they made of it; 1 vector operation per element that comes back";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(Dim::Gathered(self.dealing.ranks), self.width);
        let routes = TensorType::activation(Dim::Tokens, 2 * self.dealing.active);
        check(Self::NAME, operands, &[("x", x), ("routes", routes)])?;
        Ok(TensorType::activation(Dim::Tokens, self.width))
    }

    fn work(&self, step: &Step) -> Work {
        let (tokens, width) = (step.tokens(), self.width as f64);
        let back = self.dealing.received(step) * width;
        Work {
            vector: back,
            reads: [back, tokens * self.dealing.active as f64, 0.0],
            writes: tokens * width,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        self.dealing.exchange(step, self.width)
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let rows = self.dealing.ranks as usize * step.tokens() as usize;
        for row in 0..rows {
            let from = self.dealing.targets(&operands[1], row);
            for i in 0..self.width as usize {
                let sum = S::on(Engine::Vector, || {
                    let parts = from.iter().map(|q| operands[0].at(q * rows + row, i));
                    parts.fold(S::constant(0.0), |sum, x| sum + x)
                });
                out.set(row, i, sum);
            }
        }
    }

    /// A sum of sums is one.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let Some(Layout::Partial) = operands[0] else {
            return Ok(Split::whole(self.clone().into(), operands.len()));
        };
        let op = Self { dealing: self.dealing.dealt(place), ..self.clone() };
        let operands = vec![Layout::Partial, Layout::Whole];
        Ok(Split { op: op.into(), operands, result: Layout::Partial })
    }
}
