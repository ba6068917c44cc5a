//! The bias of the expert behind each routed row.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Cut, Found, Layout, Place, Split, SplitError, share};
use super::{Choices, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Step, TensorType, WeightKind};

/// `y[t k + j, :] = x[t k + j, :] + b[e, :]` with `e` the `j`-th expert of token `t`.
///
/// Shapes: `x, y: [T k, N]`, `routes: [T, 2 k]`, `b: [E, N]`. Work: 1 vector operation per element;
/// the biases read are those of the distinct experts that the step touches.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertBias {
    /// What is computed here.
    pub choices: Choices,
    /// Elements per row (N).
    pub width: u64,
}

impl Operator for ExpertBias {
    const NAME: &'static str = "expert_bias";
    const FORMULA: &'static str = "y[t k + j,:] = x[t k + j,:] + b[e,:], e the j-th expert of token t; 1 vector operation each";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(self.choices.rows(), self.width);
        let expected = [
            ("x", x),
            ("routes", self.choices.routes()),
            ("b", TensorType::weight(WeightKind::Bias, self.choices.held.count, self.width)),
        ];
        check(Self::NAME, operands, &expected)?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let (choices, width) = (&self.choices, self.width as f64);
        let rows = choices.computed(step);
        Work {
            vector: rows * width,
            reads: [rows * width, choices.numbers(step), choices.distinct(step) * width],
            writes: rows * width,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (x, routes, bias) = (&operands[0], &operands[1], &operands[2]);
        let k = self.choices.active as usize;
        for row in 0..self.choices.rows().extent(step) as usize {
            let Some(place) = self.choices.place(routes, row / k, row % k) else { continue };
            for i in 0..self.width as usize {
                let (x, b) = (x.at(row, i), bias.at(place as usize, i));
                out.set(row, i, S::on(Engine::Vector, || x + b));
            }
        }
    }

    /// As its rows lie: the biases of the experts held here, cut as the rows are; to a sum, one rank
    /// of each group adds them.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let (experts, groups) = (self.choices.held.count, place.expert_groups);
        let parts = place.ranks_of_group();
        let own = Self { choices: self.choices.dealt(place), ..self.clone() };
        match operands[0] {
            Some(rows @ Layout::Experts { .. }) => {
                let op = Self { width: share(self.width, parts), ..own };
                let operands = vec![rows, Layout::Whole, rows];
                Ok(Split { op: op.into(), operands, result: rows })
            }
            Some(Layout::Partial) => {
                let once = Layout::Experts { experts, groups, cut: Cut::First, parts };
                let operands = vec![Layout::Partial, Layout::Whole, once];
                Ok(Split { op: own.into(), operands, result: Layout::Partial })
            }
            _ => Ok(Split::whole(self.clone().into(), operands.len())),
        }
    }

    fn groups(&self, operand: usize) -> Option<u64> {
        (operand == 1).then_some(1)
    }
}
