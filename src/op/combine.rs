//! Putting the results of a token's experts together.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError};
use super::{Choices, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Step, TensorType};

/// `y[t, :] = sum_j weight[t, j] x[t k + j, :]`.
///
/// Shapes: `x: [T k, D]`, `routes: [T, 2 k]`, `y: [T, D]`. Work: `2 k` vector operations per element
/// of the result. On a rank that holds some of the experts, `x` has summands of their rows, and so has
/// the result; of tokens that come from other ranks, those that did.
#[derive(Debug, Clone, PartialEq)]
pub struct Combine {
    /// The choices whose results are held here.
    pub choices: Choices,
    /// Features (D).
    pub width: u64,
}

impl Operator for Combine {
    const NAME: &'static str = "combine";
    const FORMULA: &'static str =
        "y[t,:] = sum_j weight[t,j] x[t k + j,:]; 2 k vector operations each";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let expected = [
            ("x", TensorType::activation(self.choices.rows(), self.width)),
            ("routes", self.choices.routes()),
        ];
        check(Self::NAME, operands, &expected)?;
        Ok(TensorType::activation(self.choices.tokens(), self.width))
    }

    fn work(&self, step: &Step) -> Work {
        let (choices, width) = (&self.choices, self.width as f64);
        let rows = choices.computed(step);
        // The weights of the experts held here, and where some are not, the numbers of all.
        let routes = if choices.held.is_all() { rows } else { choices.numbers(step) + rows };
        let tokens = if choices.ranks == 1 { step.tokens() } else { choices.chosen(step) };
        Work {
            vector: 2.0 * rows * width,
            reads: [rows * width, routes, 0.0],
            writes: tokens * width,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Gather
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (x, routes) = (&operands[0], &operands[1]);
        let (choices, k) = (&self.choices, self.choices.active as usize);
        let holds =
            |t: usize, j: usize| choices.held.is_all() || choices.place(routes, t, j).is_some();
        for t in 0..choices.tokens().extent(step) as usize {
            let own: Vec<usize> = (0..k).filter(|&j| holds(t, j)).collect();
            if own.is_empty() && choices.ranks > 1 {
                continue;
            }
            for d in 0..self.width as usize {
                let sum = S::on(Engine::Vector, || {
                    own.iter().fold(S::constant(0.0), |sum, &j| {
                        sum + routes.at(t, k + j) * x.at(t * k + j, d)
                    })
                });
                out.set(t, d, sum);
            }
        }
    }

    /// A sum of sums is one.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let Some(Layout::Partial) = operands[0] else {
            return Ok(Split::whole(self.clone().into(), operands.len()));
        };
        let op = Self { choices: self.choices.dealt(place), ..self.clone() };
        let operands = vec![Layout::Partial, Layout::Whole];
        Ok(Split { op: op.into(), operands, result: Layout::Partial })
    }

    fn groups(&self, operand: usize) -> Option<u64> {
        (operand == 1).then_some(1)
    }
}
