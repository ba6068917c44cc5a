//! The bias of the expert behind each routed row.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::{ExpertLoad, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType, WeightKind};

/// `y[t k + j, :] = x[t k + j, :] + b[e, :]` with `e` the `j`-th expert of token `t`.
///
/// Shapes: `x, y: [T k, N]`, `routes: [T, 2 k]`, `b: [E, N]`. Work: 1 vector operation per element;
/// the biases read are those of the distinct experts that the step touches.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertBias {
    /// Experts to choose from (E).
    pub experts: u64,
    /// Experts per token (k).
    pub active: u64,
    /// Elements per row (N).
    pub width: u64,
    /// Which experts a step touches.
    pub load: ExpertLoad,
}

impl Operator for ExpertBias {
    const NAME: &'static str = "expert_bias";
    const FORMULA: &'static str = "y[t k + j,:] = x[t k + j,:] + b[e,:], e the j-th expert of token t; 1 vector operation each";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(Dim::Routed(self.active), self.width);
        let expected = [
            ("x", x),
            ("routes", TensorType::activation(Dim::Tokens, 2 * self.active)),
            ("b", TensorType::weight(WeightKind::Bias, self.experts, self.width)),
        ];
        check(Self::NAME, operands, &expected)?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let (tokens, width) = (step.tokens(), self.width as f64);
        let routed = tokens * self.active as f64;
        Work {
            vector: routed * width,
            reads: [routed * width, routed, self.load.distinct(tokens) * width],
            writes: routed * width,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (x, routes, bias) = (&operands[0], &operands[1], &operands[2]);
        for row in 0..Dim::Routed(self.active).extent(step) as usize {
            let (t, j) = (row / self.active as usize, row % self.active as usize);
            let expert = routes.at(t, j).value() as usize;
            for i in 0..self.width as usize {
                let (x, b) = (x.at(row, i), bias.at(expert, i));
                out.set(row, i, S::on(Engine::Vector, || x + b));
            }
        }
    }
}
