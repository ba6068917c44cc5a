//! Learned absolute positions.

use super::infer::{InferError, check};
use super::scalar::Scalar;
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, Stripe, TensorType, WeightKind};

/// `y[t, :] = table[position(t) + offset, :]`.
///
/// Shapes: `table: [P, D]`, `y: [T, D]`. No arithmetic; the rows read are the distinct positions
/// of the step's tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// Rows of the table (P).
    pub positions: u64,
    /// First row used (OPT: 2).
    pub offset: u64,
    /// Features (D).
    pub width: u64,
    /// Positions of the tokens.
    pub stripe: Stripe,
}

impl Operator for Position {
    const NAME: &'static str = "position";
    const FORMULA: &'static str = "y[t,:] = table[position(t) + offset,:]";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let table = TensorType::weight(WeightKind::Position, self.positions, self.width);
        check(Self::NAME, operands, &[("table", table)])?;
        Ok(TensorType::activation(Dim::Tokens, self.width))
    }

    fn work(&self, step: &Step) -> Work {
        let d = self.width as f64;
        Work {
            reads: [step.distinct_positions() * d, 0.0, 0.0],
            writes: step.tokens() * d,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Gather
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for s in step.sequences() {
            for i in 0..s.new {
                let row = self.stripe.position(s.past + i) + self.offset as usize;
                for d in 0..self.width as usize {
                    out.set(s.first_token + i, d, operands[0].at(row, d));
                }
            }
        }
    }
}
