//! Putting the results of a token's experts together.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError};
use super::{ExpertLoad, Held, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `y[t, :] = sum_j weight[t, j] x[t k + j, :]`.
///
/// Shapes: `x: [T k, D]`, `routes: [T, 2 k]`, `y: [T, D]`. Work: `2 k` vector operations per element
/// of the result. On a rank that holds some of the experts, `x` has summands of their rows, and so has
/// the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Combine {
    /// The experts to choose from (E) whose results are held here.
    pub held: Held,
    /// Experts per token (k).
    pub active: u64,
    /// Features (D).
    pub width: u64,
    /// Which experts a step touches.
    pub load: ExpertLoad,
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
        let (routed, width) = (step.tokens() * self.active as f64, self.width as f64);
        let rows = self.load.rows(step.tokens());
        // The weights of the experts held here, and where some are not, the numbers of all.
        let routes = if self.held.is_all() { rows } else { routed + rows };
        Work {
            vector: 2.0 * rows * width,
            reads: [rows * width, routes, 0.0],
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
        let holds = |t: usize, j: usize| {
            let held = self.held;
            held.is_all() || held.place(routes.at(t, j).value() as u64).is_some()
        };
        for t in 0..step.tokens() as usize {
            let own: Vec<usize> = (0..k).filter(|&j| holds(t, j)).collect();
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
        let (held, load) = (place.held(self.held.of), self.load.dealt(place.expert_groups));
        let op = Self { held, load, ..self.clone() };
        let operands = vec![Layout::Partial, Layout::Whole];
        Ok(Split { op: op.into(), operands, result: Layout::Partial })
    }

    fn groups(&self, operand: usize) -> Option<u64> {
        (operand == 1).then_some(1)
    }
}
