//! Tokens one behind another.

use super::state::{RunError, Session};
use crate::op::scalar::Scalar;
use crate::tensor::Logits;
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// How a token is drawn from logits.
#[derive(Debug, Clone)]
pub enum Draw {
    /// The largest logit, the first among equals.
    Greedy,
    /// From softmax(logits / temperature), seeded.
    Random {
        /// Above 0.
        temperature: f64,
        /// The stream of uniform numbers.
        stream: Box<ChaCha8Rng>,
    },
}

impl Draw {
    /// Greedy at temperature 0, else seeded draws.
    pub fn new(temperature: f64, seed: u64) -> Self {
        if temperature <= 0.0 {
            return Self::Greedy;
        }
        Self::Random { temperature, stream: Box::new(ChaCha8Rng::seed_from_u64(seed)) }
    }

    /// A token for a row of logits.
    pub fn token<S: Scalar>(&mut self, logits: &[S]) -> u64 {
        match self {
            Self::Greedy => best(logits),
            Self::Random { temperature, stream } => {
                super::speculate::drawn(&probabilities(logits, *temperature), stream.random())
            }
        }
    }
}

fn best<S: Scalar>(logits: &[S]) -> u64 {
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (0..logits.len()).fold(0, better) as u64
}

/// `softmax(logits / temperature)`, in f64.
pub fn probabilities<S: Scalar>(logits: &[S], temperature: f64) -> Vec<f64> {
    let scaled = logits.iter().map(|l| l.value() / temperature);
    let max = scaled.clone().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = scaled.map(|l| (l - max).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.into_iter().map(|e| e / sum).collect()
}

impl<S: Scalar> Session<'_, S> {
    /// Goes on with `tokens` of every sequence and then with `count` tokens that are drawn; `each` sees those of
    /// all sequences as they come.
    ///
    /// # Errors
    /// As [`Session::step`], and a model without a head.
    pub fn generate(
        &mut self,
        tokens: &[Vec<u64>],
        count: usize,
        draw: &mut Draw,
        each: &mut dyn FnMut(&[u64]),
    ) -> Result<Vec<Vec<u64>>, RunError> {
        self.has_head()?;
        let mut made = vec![vec![]; tokens.len()];
        let mut next = tokens.to_vec();
        for _ in 0..count {
            let logits = self.step(&next, Logits::Last, &|_| false)?.logits;
            let width = logits.len() / made.len().max(1);
            let drawn: Vec<u64> =
                logits.chunks_exact(width.max(1)).map(|l| draw.token(l)).collect();
            each(&drawn);
            for (made, &token) in made.iter_mut().zip(&drawn) {
                made.push(token);
            }
            next = drawn.into_iter().map(|t| vec![t]).collect();
        }
        Ok(made)
    }
}
