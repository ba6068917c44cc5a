//! Projection.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError, parts, share};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType, WeightKind};

/// `y[m, n] = sum_k x[m, k] w[n, k] (+ b[n])`.
///
/// Shapes: `x: [M, K]`, `w: [N, K]`, `b: [1, N]`, `y: [M, N]`. Work: `2 M N K` matrix operations;
/// the bias is the accumulator's start and adds none.
#[derive(Debug, Clone, PartialEq)]
pub struct MatMul {
    /// Rows of `x` (M).
    pub rows: Dim,
    /// Inputs (K).
    pub inputs: u64,
    /// Outputs (N).
    pub outputs: u64,
    /// Whether `b` is the third operand.
    pub bias: bool,
}

impl Operator for MatMul {
    const NAME: &'static str = "matmul";
    const FORMULA: &'static str = "y[m,n] = sum_k x[m,k] w[n,k] + b[n]; 2 M N K matrix operations";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let expected = [
            ("x", TensorType::activation(self.rows, self.inputs)),
            ("w", TensorType::weight(WeightKind::Projection, self.outputs, self.inputs)),
            ("b", TensorType::weight(WeightKind::Bias, 1, self.outputs)),
        ];
        check(Self::NAME, operands, &expected[..2 + usize::from(self.bias)])?;
        Ok(TensorType::activation(self.rows, self.outputs))
    }

    fn work(&self, step: &Step) -> Work {
        let (m, k, n) = (self.rows.extent(step), self.inputs as f64, self.outputs as f64);
        Work {
            matrix: 2.0 * m * n * k,
            reads: [m * k, n * k, if self.bias { n } else { 0.0 }],
            writes: m * n,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        let m = self.rows.extent(step);
        Pattern::Contraction { b: 1.0, m, n: self.outputs as f64, k: self.inputs as f64 }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (x, w) = (&operands[0], &operands[1]);
        for m in 0..self.rows.extent(step) as usize {
            for n in 0..self.outputs as usize {
                let start = if self.bias { operands[2].at(0, n) } else { S::constant(0.0) };
                let sum = S::on(Engine::Matrix, || {
                    (0..self.inputs as usize).fold(start, |sum, k| sum + x.at(m, k) * w.at(n, k))
                });
                out.set(m, n, sum);
            }
        }
    }

    /// Columns of a whole input; rows of an input whose columns are split, which leaves a sum
    /// (Shoeybi et al., arXiv 1909.08053).
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let ranks = place.rank.of;
        let pieces = |x, w, b| [x, w, b][..operands.len()].to_vec();
        if operands[0] == Some(Layout::columns(ranks)) && ranks > 1 {
            let op = Self { inputs: share(self.inputs, ranks), ..self.clone() };
            let columns = Layout::columns(ranks);
            let operands = pieces(columns, columns, Layout::First);
            return Ok(Split { op: op.into(), operands, result: Layout::Partial });
        }
        let count = match place.groups {
            Some(groups) => parts(groups, ranks)?,
            None => ranks,
        };
        let op = Self { outputs: share(self.outputs, count), ..self.clone() };
        let operands = pieces(Layout::Whole, Layout::rows(count), Layout::columns(count));
        Ok(Split { op: op.into(), operands, result: Layout::columns(count) })
    }

    fn groups(&self, _: usize) -> Option<u64> {
        None
    }
}
