//! Convolution over time: the stem of an audio encoder.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType, WeightKind};

/// `y[t, n] = b[n] + sum_{j, c} x[t stride + j - kernel / 2, c] w[n, j C + c]`, zeros outside the
/// sequence.
///
/// Shapes: `x: [M stride, C]`, `w: [N, kernel C]`, `b: [1, N]`, `y: [M, N]`, with M frames of each
/// sequence a multiple of its new tokens. Work: `2 M N kernel C` matrix operations, padding included
/// (A40); the bias is the accumulator's start.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv1d {
    /// Rows of the result for each new token.
    pub per_token: u64,
    /// Channels of `x` (C).
    pub inputs: u64,
    /// Channels of `y` (N).
    pub outputs: u64,
    /// Taps in time; odd.
    pub kernel: u64,
    /// Rows of `x` for each row of `y`; at most `kernel`.
    pub stride: u64,
}

/// Rows of `n` frames for each token.
pub(super) const fn frames(n: u64) -> Dim {
    if n == 1 { Dim::Tokens } else { Dim::Frames(n) }
}

impl Operator for Conv1d {
    const NAME: &'static str = "conv1d";
    const FORMULA: &'static str = "y[t,n] = b[n] + sum_j,c x[t stride + j - kernel/2,c] w[n,j C + c]; 2 M N kernel C matrix operations";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let x = TensorType::activation(frames(self.per_token * self.stride), inputs);
        let w = TensorType::weight(WeightKind::Convolution, outputs, self.kernel * inputs);
        let b = TensorType::weight(WeightKind::Bias, 1, outputs);
        check(Self::NAME, operands, &[("x", x), ("w", w), ("b", b)])?;
        Ok(TensorType::activation(frames(self.per_token), outputs))
    }

    fn work(&self, step: &Step) -> Work {
        let m = step.tokens() * self.per_token as f64;
        let (c, n) = (self.inputs as f64, self.outputs as f64);
        let weights = n * c * self.kernel as f64;
        Work {
            matrix: 2.0 * m * weights,
            reads: [m * self.stride as f64 * c, weights, n],
            writes: m * n,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        let m = step.tokens() * self.per_token as f64;
        let k = (self.inputs * self.kernel) as f64;
        Pattern::Contraction { b: 1.0, m, n: self.outputs as f64, k }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (x, w) = (&operands[0], &operands[1]);
        let [per_token, inputs, kernel, stride] =
            [self.per_token, self.inputs, self.kernel, self.stride].map(|n| n as usize);
        for s in step.sequences() {
            let (first, rows) = (s.first_token * per_token, s.new * per_token);
            let tap = |t: usize, j: usize, c: usize| {
                let row = (t * stride + j).checked_sub(kernel / 2).filter(|r| *r < rows * stride);
                row.map_or(S::constant(0.0), |row| x.at(first * stride + row, c))
            };
            for t in 0..rows {
                for n in 0..self.outputs as usize {
                    let start = operands[2].at(0, n);
                    let sum = S::on(Engine::Matrix, || {
                        (0..kernel * inputs)
                            .fold(start, |sum, k| sum + tap(t, k / inputs, k % inputs) * w.at(n, k))
                    });
                    out.set(first + t, n, sum);
                }
            }
        }
    }
}
