//! A product of each head with a matrix of its own.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError, common_columns};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType, WeightKind};

/// Which way a head's matrix is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Into the latents: `y[t, h, i] = sum_n x[t, h, n] w[h N + n, i]`, the query's side of an
    /// absorbed key projection.
    Into,
    /// Out of them: `y[t, h, n] = sum_i x[t, h, i] w[h N + n, i]`, the absorbed value projection.
    OutOf,
}

/// Heads times the matrices of a latent projection, which so never meets the context (DeepSeek-V2,
/// arXiv 2405.04434, section 2.1.2).
///
/// Shapes: `x: [T, H (P + N)]`, `w: [H N, K]`, `y: [T, H (P + K)]` into the latents; `x: [T, H K]`, `y: [T,
/// H N]` out of them. The first P elements of a head, its rotated part, pass unchanged. Work: `2 T H
/// N K` matrix operations.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadMatMul {
    /// Heads (H).
    pub heads: u64,
    /// Leading elements of a head that pass (P); 0 out of the latents.
    pub passed: u64,
    /// Elements of a head (N).
    pub head_dim: u64,
    /// Elements of a latent (K).
    pub latent: u64,
    /// Which way.
    pub fold: Fold,
}

impl HeadMatMul {
    /// Elements of a head before and behind, without those that pass.
    const fn widths(&self) -> (u64, u64) {
        match self.fold {
            Fold::Into => (self.head_dim, self.latent),
            Fold::OutOf => (self.latent, self.head_dim),
        }
    }
}

impl Operator for HeadMatMul {
    const NAME: &'static str = "head_matmul";
    const FORMULA: &'static str =
        "y[t,h,:] = x[t,h,:] W_h, the rotated part passes; 2 T H N K matrix operations";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let (before, behind) = self.widths();
        let row = |own: u64| TensorType::activation(Dim::Tokens, self.heads * (self.passed + own));
        let rows = self.heads * self.head_dim;
        let w = TensorType::weight(WeightKind::Projection, rows, self.latent);
        check(Self::NAME, operands, &[("x", row(before)), ("w", w)])?;
        Ok(row(behind))
    }

    fn work(&self, step: &Step) -> Work {
        let (before, behind) = self.widths();
        let rows = step.tokens() * self.heads as f64;
        let weights = (self.heads * self.head_dim * self.latent) as f64;
        Work {
            matrix: 2.0 * step.tokens() * weights,
            reads: [rows * (self.passed + before) as f64, weights, 0.0],
            writes: rows * (self.passed + behind) as f64,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        let (k, n) = self.widths();
        Pattern::Contraction { b: self.heads as f64, m: step.tokens(), n: n as f64, k: k as f64 }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (x, w) = (&operands[0], &operands[1]);
        let (before, behind) = self.widths();
        let [passed, before, behind, dim] =
            [self.passed, before, behind, self.head_dim].map(|n| n as usize);
        for t in 0..step.tokens() as usize {
            for h in 0..self.heads as usize {
                let (from, to) = (h * (passed + before), h * (passed + behind));
                for p in 0..passed {
                    out.set(t, to + p, x.at(t, from + p));
                }
                for j in 0..behind {
                    let weight = |i: usize| match self.fold {
                        Fold::Into => w.at(h * dim + i, j),
                        Fold::OutOf => w.at(h * dim + j, i),
                    };
                    let sum = S::on(Engine::Matrix, || {
                        (0..before).fold(S::constant(0.0), |sum, i| {
                            sum + x.at(t, from + passed + i) * weight(i)
                        })
                    });
                    out.set(t, to + passed + j, sum);
                }
            }
        }
    }

    /// Heads of the rank.
    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let layout = common_columns(&operands[..1]);
        let count = layout.column_parts();
        let op = Self { heads: self.heads / count, ..self.clone() };
        let operands = vec![layout, Layout::rows(count)];
        Ok(Split { op: op.into(), operands, result: layout })
    }

    fn groups(&self, _: usize) -> Option<u64> {
        Some(self.heads)
    }
}
