//! Putting the results of a token's experts together.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y[t, :] = sum_j weight[t, j] x[t k + j, :]`.
///
/// Shapes: `x: [T k, D]`, `routes: [T, 2 k]`, `y: [T, D]`. Work: `2 k` vector operations per element
/// of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Combine {
    /// Experts per token (k).
    pub active: u64,
    /// Features (D).
    pub width: u64,
}

impl Operator for Combine {
    const NAME: &'static str = "combine";
    const FORMULA: &'static str =
        "y[t,:] = sum_j weight[t,j] x[t k + j,:]; 2 k vector operations each";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let expected = [
            ("x", TensorType::activation(Dim::Routed(self.active), self.width)),
            ("routes", TensorType::activation(Dim::Tokens, 2 * self.active)),
        ];
        check(Self::NAME, operands, &expected)?;
        Ok(TensorType::activation(Dim::Tokens, self.width))
    }

    fn work(&self, step: &Step) -> Work {
        let routed = step.tokens() * self.active as f64;
        let width = self.width as f64;
        Work {
            vector: 2.0 * routed * width,
            reads: [routed * width, routed, 0.0],
            writes: step.tokens() * width,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Gather
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (x, routes) = (&operands[0], &operands[1]);
        let k = self.active as usize;
        for t in 0..step.tokens() as usize {
            for d in 0..self.width as usize {
                let sum = S::on(Engine::Vector, || {
                    (0..k).fold(S::constant(0.0), |sum, j| {
                        sum + routes.at(t, k + j) * x.at(t * k + j, d)
                    })
                });
                out.set(t, d, sum);
            }
        }
    }
}
