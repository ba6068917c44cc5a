//! Choosing the next token.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Role, Step, TensorType};

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// The largest logit, the first among equals.
    Greedy,
    /// A draw from softmax(logits / temperature), by inverting the cumulative sum at a uniform
    /// number that is the second operand.
    Random {
        /// Temperature, above 0.
        temperature: f64,
    },
}

/// One token id per row of logits.
///
/// Shapes: `logits: [L, V]`, with a random sampler `u: [L, 1]` in [0, 1); result `[L, 1]`. Work:
/// greedy none (comparisons are free); random per row `4 V + 1` vector (scale, subtract, sum,
/// cumulative sum, threshold) and `V` special.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Logits per row (V).
    pub vocabulary: u64,
    /// How to choose.
    pub sampler: Sampler,
}

impl Operator for Sample {
    const NAME: &'static str = "sample";
    const FORMULA: &'static str =
        "greedy: argmax; random: first id whose cumulative exp((l - max)/temperature) passes u sum";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let expected = [
            ("logits", TensorType::activation(Dim::Logits, self.vocabulary)),
            ("u", TensorType::activation(Dim::Logits, 1)),
        ];
        let random = self.sampler != Sampler::Greedy;
        check(Self::NAME, operands, &expected[..1 + usize::from(random)])?;
        Ok(TensorType { rows: Dim::Logits, width: 1, role: Role::TokenIds })
    }

    fn work(&self, step: &Step) -> Work {
        let (rows, v) = (step.logit_rows(), self.vocabulary as f64);
        let (vector, special, uniform) = match self.sampler {
            Sampler::Greedy => (0.0, 0.0, 0.0),
            Sampler::Random { .. } => (4.0 * v + 1.0, v, 1.0),
        };
        Work {
            vector: rows * vector,
            special: rows * special,
            reads: [rows * v, rows * uniform, 0.0],
            writes: rows,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for row in 0..step.logit_rows() as usize {
            let logits: Vec<S> =
                (0..self.vocabulary as usize).map(|v| operands[0].at(row, v)).collect();
            let token = match self.sampler {
                Sampler::Greedy => first_largest(&logits),
                Sampler::Random { temperature } => {
                    S::on(Engine::Vector, || draw(&logits, temperature, operands[1].at(row, 0)))
                }
            };
            out.set(row, 0, S::constant(token as f64));
        }
    }

    /// Logits come in any pieces: gathering them is cheaper than a head on every rank.
    fn groups(&self, _: usize) -> Option<u64> {
        None
    }
}

fn first_largest<S: Scalar>(logits: &[S]) -> usize {
    (1..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best })
}

fn draw<S: Scalar>(logits: &[S], temperature: f64, uniform: S) -> usize {
    let max = logits[first_largest(logits)];
    let inverse = S::constant(1.0 / temperature);
    let exps: Vec<S> = logits.iter().map(|&l| ((l - max) * inverse).exp()).collect();
    let sum = exps.iter().fold(S::constant(0.0), |sum, &e| sum + e);
    let threshold = sum * uniform;
    let mut cumulative = S::constant(0.0);
    let mut token = None;
    for (i, &e) in exps.iter().enumerate() {
        cumulative = cumulative + e;
        if token.is_none() && cumulative > threshold {
            token = Some(i);
        }
    }
    token.unwrap_or(logits.len() - 1)
}
