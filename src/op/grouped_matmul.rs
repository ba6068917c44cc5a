//! Projection by the experts that each token is routed to.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Cut, Found, Layout, Place, Split, SplitError, share};
use super::{Choices, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType, WeightKind};

/// `y[t k + j, n] = sum_i x[row, i] w[e N + n, i]` with `e` the `j`-th expert of token `t`.
///
/// Shapes: `x: [T, K]`, a row for all experts of a token (A34), or `[T k, K]`, a row for each;
/// `routes: [T, 2 k]`; `w: [E N, K]`, expert after expert; `y: [T k, N]`. Work: `2 T k N K` matrix
/// operations, in one launch without padding (A33); rows are gathered in place (A34); the weights
/// read are those of the distinct experts that the step touches (A32). Where some experts are held
/// by other ranks, `w` has those held here, and their rows of `y` are computed: for the tokens of all
/// ranks that were sent here.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupedMatMul {
    /// Rows of `x`: those of tokens, or those of choices.
    pub rows: Dim,
    /// What is computed here.
    pub choices: Choices,
    /// Inputs (K).
    pub inputs: u64,
    /// Outputs of an expert (N).
    pub outputs: u64,
}

impl Operator for GroupedMatMul {
    const NAME: &'static str = "grouped_matmul";
    const FORMULA: &'static str = "y[t k + j,n] = sum_i x[row,i] w[e N + n,i], e the j-th expert of token t; 2 T k N K matrix operations";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let rows = self.choices.held.count * self.outputs;
        let expected = [
            ("x", TensorType::activation(self.rows, self.inputs)),
            ("routes", self.choices.routes()),
            ("w", TensorType::weight(WeightKind::Projection, rows, self.inputs)),
        ];
        check(Self::NAME, operands, &expected)?;
        Ok(TensorType::activation(self.choices.rows(), self.outputs))
    }

    fn work(&self, step: &Step) -> Work {
        let (choices, k, n) = (&self.choices, self.inputs as f64, self.outputs as f64);
        let rows = choices.computed(step);
        let read = if self.rows == choices.tokens() { choices.chosen(step) } else { rows };
        Work {
            matrix: 2.0 * rows * n * k,
            reads: [read * k, choices.numbers(step), choices.distinct(step) * n * k],
            writes: rows * n,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        let b = self.choices.distinct(step);
        let m = self.choices.computed(step) / b;
        Pattern::Contraction { b, m, n: self.outputs as f64, k: self.inputs as f64 }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (x, routes, w) = (&operands[0], &operands[1], &operands[2]);
        let (k, outputs) = (self.choices.active as usize, self.outputs as usize);
        for t in 0..self.choices.tokens().extent(step) as usize {
            for j in 0..k {
                let Some(place) = self.choices.place(routes, t, j) else { continue };
                let first = place as usize * outputs;
                let row = if self.rows == self.choices.tokens() { t } else { t * k + j };
                for n in 0..outputs {
                    let sum = S::on(Engine::Matrix, || {
                        (0..self.inputs as usize).fold(S::constant(0.0), |sum, i| {
                            sum + x.at(row, i) * w.at(first + n, i)
                        })
                    });
                    out.set(t * k + j, n, sum);
                }
            }
        }
    }

    /// Columns of every expert's matrix for whole rows, rows of it for rows whose columns are cut,
    /// which leaves a sum; the experts dealt to groups of ranks.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let (experts, groups) = (self.choices.held.count, place.expert_groups);
        let parts = place.ranks_of_group();
        let weight = |cut| Layout::Experts { experts, groups, cut, parts };
        let routed = Layout::Experts { experts, groups, cut: Cut::Columns, parts };
        let own = Self { choices: self.choices.dealt(place), ..self.clone() };
        if operands[0] == Some(routed) {
            let op = Self { inputs: share(self.inputs, parts), ..own };
            let operands = vec![routed, Layout::Whole, weight(Cut::Columns)];
            return Ok(Split { op: op.into(), operands, result: Layout::Partial });
        }
        let op = Self { outputs: share(self.outputs, parts), ..own };
        let operands = vec![Layout::Whole, Layout::Whole, weight(Cut::Rows)];
        Ok(Split { op: op.into(), operands, result: routed })
    }

    fn groups(&self, operand: usize) -> Option<u64> {
        (operand == 1).then_some(1)
    }
}
