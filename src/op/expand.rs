//! Keys or values of all heads from the latents that a cache keeps (multi-head latent attention).

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError, parts, share};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Mask, Step, TensorType, WeightKind};

/// `y[c, n] = sum_i latent[c, i] w[n, i]` for every token `c` of the context (DeepSeek-V2, arXiv
/// 2405.04434, equations 10 and 11).
///
/// Shapes: `latent: [C, K]`, `w: [N, K]`, `y: [C, N]`. Work: `2 C N K` matrix operations: what the
/// cache keeps is expanded again in every step.
#[derive(Debug, Clone, PartialEq)]
pub struct Expand {
    /// Elements of a latent (K).
    pub latent: u64,
    /// Elements of all heads (N).
    pub outputs: u64,
}

impl Operator for Expand {
    const NAME: &'static str = "expand";
    const FORMULA: &'static str = "y[c,n] = sum_i latent[c,i] w[n,i] for every token of the context; 2 C N K matrix operations";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let expected = [
            ("latent", TensorType::cache(Dim::Context, 1, self.latent, Mask::Causal)),
            ("w", TensorType::weight(WeightKind::Projection, self.outputs, self.latent)),
        ];
        check(Self::NAME, operands, &expected)?;
        Ok(TensorType::activation(Dim::Context, self.outputs))
    }

    fn work(&self, step: &Step) -> Work {
        let (c, k, n) = (step.context(), self.latent as f64, self.outputs as f64);
        Work {
            matrix: 2.0 * c * n * k,
            reads: [c * k, n * k, 0.0],
            writes: c * n,
            ..Work::default()
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        let (m, n, k) = (step.context(), self.outputs as f64, self.latent as f64);
        Pattern::Contraction { b: 1.0, m, n, k }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (latent, w) = (&operands[0], &operands[1]);
        for c in 0..step.context() as usize {
            for n in 0..self.outputs as usize {
                let sum = S::on(Engine::Matrix, || {
                    (0..self.latent as usize)
                        .fold(S::constant(0.0), |sum, i| sum + latent.at(c, i) * w.at(n, i))
                });
                out.set(c, n, sum);
            }
        }
    }

    /// Columns of whole latents.
    fn split(&self, place: Place, _: &[Found]) -> Result<Split, SplitError> {
        let count = parts(place.groups.unwrap_or(place.rank.of), place.rank.of)?;
        let op = Self { outputs: share(self.outputs, count), ..self.clone() };
        let operands = vec![Layout::Whole, Layout::rows(count)];
        Ok(Split { op: op.into(), operands, result: Layout::columns(count) })
    }

    fn groups(&self, operand: usize) -> Option<u64> {
        (operand == 0).then_some(1)
    }
}
