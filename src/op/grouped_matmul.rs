//! Projection by the experts that each token is routed to.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Cut, Found, Layout, Place, Split, SplitError, share};
use super::{ExpertLoad, Held, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType, WeightKind};

/// `y[t k + j, n] = sum_i x[row, i] w[e N + n, i]` with `e` the `j`-th expert of token `t`.
///
/// Shapes: `x: [T, K]`, a row for all experts of a token (A34), or `[T k, K]`, a row for each;
/// `routes: [T, 2 k]`; `w: [E N, K]`, expert after expert; `y: [T k, N]`. Work: `2 T k N K` matrix
/// operations, in one launch without padding (A33); rows are gathered in place (A34); the weights
/// read are those of the distinct experts that the step touches (A32). Where some experts are held
/// by other ranks, `w` has those held here, and their rows of `y` are computed.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupedMatMul {
    /// Rows of `x`: [`Dim::Tokens`], or [`Dim::Routed`] of the active experts.
    pub rows: Dim,
    /// The experts to choose from (E) that are held here.
    pub held: Held,
    /// Experts per token (k).
    pub active: u64,
    /// Inputs (K).
    pub inputs: u64,
    /// Outputs of an expert (N).
    pub outputs: u64,
    /// Which experts a step touches.
    pub load: ExpertLoad,
}

impl Operator for GroupedMatMul {
    const NAME: &'static str = "grouped_matmul";
    const FORMULA: &'static str = "y[t k + j,n] = sum_i x[row,i] w[e N + n,i], e the j-th expert of token t; 2 T k N K matrix operations";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let rows = self.held.count * self.outputs;
        let expected = [
            ("x", TensorType::activation(self.rows, self.inputs)),
            ("routes", TensorType::activation(Dim::Tokens, 2 * self.active)),
            ("w", TensorType::weight(WeightKind::Projection, rows, self.inputs)),
        ];
        check(Self::NAME, operands, &expected)?;
        Ok(TensorType::activation(Dim::Routed(self.active), self.outputs))
    }

    fn work(&self, step: &Step) -> Work {
        let (tokens, k, n) = (step.tokens(), self.inputs as f64, self.outputs as f64);
        let rows = self.load.rows(tokens);
        let read = if self.rows == Dim::Tokens { self.load.tokens(tokens) } else { rows };
        let routes = tokens * self.active as f64;
        Work {
            matrix: 2.0 * rows * n * k,
            reads: [read * k, routes, self.load.distinct(tokens) * n * k],
            writes: rows * n,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        let b = self.load.distinct(step.tokens());
        let m = self.load.rows(step.tokens()) / b;
        Pattern::Contraction { b, m, n: self.outputs as f64, k: self.inputs as f64 }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (x, routes, w) = (&operands[0], &operands[1], &operands[2]);
        let (k, outputs) = (self.active as usize, self.outputs as usize);
        for t in 0..step.tokens() as usize {
            for j in 0..k {
                let expert = routes.at(t, j).value() as u64;
                let Some(place) = self.held.place(expert) else { continue };
                let first = place as usize * outputs;
                let row = if self.rows == Dim::Tokens { t } else { t * k + j };
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
        let (experts, groups, parts) = (self.held.of, place.expert_groups, place.ranks_of_group());
        let (held, load) = (place.held(experts), self.load.dealt(groups));
        let weight = |cut| Layout::Experts { experts, groups, cut, parts };
        let routed = Layout::Experts { experts, groups, cut: Cut::Columns, parts };
        let own = Self { held, load, ..self.clone() };
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
