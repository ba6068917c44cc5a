//! Keys of relative positions (Dai et al., arXiv 1901.02860).

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError, parts, share};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType, WeightKind};

/// `r[t, n] = sum_k w[n, k] R[position(t), k]`, where `R[p]` is `sin(p f_i)` for each of the `K / 2`
/// frequencies `f_i = 10000^(-2i/K)`, then `cos(p f_i)` for each.
///
/// Row `p` serves every query that is `p` positions behind its key. Shapes: `w: [N, K]`, `r: [T, N]`.
/// Work: `2 T N K` matrix; `T K / 2` vector for the angles and `T K` special.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionKeys {
    /// Elements of a position's encoding (K), even.
    pub inputs: u64,
    /// Elements of its key, all heads together (N).
    pub outputs: u64,
}

/// Base of the frequencies (Vaswani et al., arXiv 1706.03762, section 3.5).
const BASE: f64 = 10_000.0;

impl PositionKeys {
    /// The encoding of a position.
    fn encoding<S: Scalar>(&self, position: usize) -> Vec<S> {
        let angle = |i: u64| {
            let frequency = BASE.powf(-2.0 * i as f64 / self.inputs as f64);
            S::constant(position as f64) * S::constant(frequency)
        };
        let angles: Vec<S> = (0..self.inputs / 2).map(angle).collect();
        angles.iter().map(|a| a.sin()).chain(angles.iter().map(|a| a.cos())).collect()
    }
}

impl Operator for PositionKeys {
    const NAME: &'static str = "position_keys";
    const FORMULA: &'static str = "r[t,n] = sum_k w[n,k] R[position(t),k], R sines and cosines; 2 T N K matrix, T K / 2 vector and T K special operations";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let w = TensorType::weight(WeightKind::Projection, self.outputs, self.inputs);
        check(Self::NAME, operands, &[("w", w)])?;
        Ok(TensorType::activation(Dim::Tokens, self.outputs))
    }

    fn work(&self, step: &Step) -> Work {
        let (t, k, n) = (step.tokens(), self.inputs as f64, self.outputs as f64);
        Work {
            matrix: 2.0 * t * n * k,
            vector: t * (self.inputs / 2) as f64,
            special: t * k,
            reads: [n * k, 0.0, 0.0],
            writes: t * n,
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        let (n, k) = (self.outputs as f64, self.inputs as f64);
        Pattern::Contraction { b: 1.0, m: step.tokens(), n, k }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for s in step.sequences() {
            for i in 0..s.new {
                let encoding = S::on(Engine::Vector, || self.encoding::<S>(s.past + i));
                for n in 0..self.outputs as usize {
                    let key = S::on(Engine::Matrix, || {
                        encoding
                            .iter()
                            .enumerate()
                            .fold(S::constant(0.0), |sum, (k, &x)| sum + x * operands[0].at(n, k))
                    });
                    out.set(s.first_token + i, n, key);
                }
            }
        }
    }

    /// Columns of the result, heads in one piece.
    fn split(&self, place: Place, _: &[Found]) -> Result<Split, SplitError> {
        let ranks = place.rank.of;
        let count = match place.groups {
            Some(groups) => parts(groups, ranks)?,
            None => ranks,
        };
        let op = Self { outputs: share(self.outputs, count), ..self.clone() };
        let (operands, result) = (vec![Layout::rows(count)], Layout::columns(count));
        Ok(Split { op: op.into(), operands, result })
    }
}
