//! The tokens of all ranks of a group, put together.

use super::infer::{InferError, check};
use super::scalar::Scalar;
use super::{Exchange, MeshAxis, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y = x_0 ++ x_1 ++ ...` along the tokens, on every rank, cut behind the last token.
///
/// Shapes: `x: [ceil(T / R), W]` and `y: [T, W]` on each of `R` ranks; `eval` takes and gives those of all
/// ranks one behind the other. No arithmetic; the ranks read `T W` elements between them, and write
/// as many each.
#[derive(Debug, Clone, PartialEq)]
pub struct GatherTokens {
    /// Elements of a row (W).
    pub width: u64,
    /// Ranks (R).
    pub ranks: u64,
}

impl Operator for GatherTokens {
    const NAME: &'static str = "gather_tokens";
    const FORMULA: &'static str = "y = the tokens of all ranks, on every rank; no arithmetic";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(Dim::Share(self.ranks), self.width);
        check(Self::NAME, operands, &[("x", x)])?;
        Ok(TensorType::activation(Dim::Tokens, self.width))
    }

    fn work(&self, step: &Step) -> Work {
        let elements = step.tokens() * self.width as f64;
        let reads = [elements / self.ranks as f64, 0.0, 0.0];
        Work { reads, writes: elements, ..Work::default() }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        Pattern::Collective {
            exchange: Exchange::AllGather,
            ranks: self.ranks,
            along: MeshAxis::Tensor,
            elements: step.tokens() * self.width as f64,
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let tokens = step.tokens() as usize;
        for t in 0..tokens {
            for i in 0..self.width as usize {
                // Shares are as long but for the last, so the ranks' rows lie in order of the tokens.
                let value = operands[0].at(t, i);
                (0..self.ranks as usize).for_each(|r| out.set(r * tokens + t, i, value));
            }
        }
    }
}
