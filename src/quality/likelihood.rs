//! Likelihood of given tokens.

use crate::op::scalar::Scalar;

/// Natural logarithms of the probabilities that a row of logits gives. A row with NaN gives NaN.
pub fn log_softmax<S: Scalar>(logits: &[S]) -> Vec<f64> {
    let values = || logits.iter().map(|x| x.value());
    let most = values().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values().map(|x| (x - most).exp()).sum();
    let norm = most + sum.ln();
    values().map(|x| x - norm).collect()
}

/// Negative log-likelihoods of tokens, added up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Likelihood {
    /// Tokens.
    pub tokens: u64,
    /// Sum of `-ln p`.
    pub sum: f64,
}

impl Likelihood {
    /// Adds rows of logits and the tokens that came: row `i` predicts `next[i]`. A token that the vocabulary does
    /// not have makes the sum NaN.
    pub fn add<S: Scalar>(&mut self, logits: &[S], next: &[usize]) {
        let Some(vocabulary) = logits.len().checked_div(next.len()) else { return };
        for (row, &token) in logits.chunks(vocabulary.max(1)).zip(next) {
            self.sum -= log_softmax(row).get(token).copied().unwrap_or(f64::NAN);
            self.tokens += 1;
        }
    }

    /// Mean of `-ln p`; NaN without tokens.
    pub fn mean(&self) -> f64 {
        self.sum / self.tokens as f64
    }

    /// `exp` of the mean: the perplexity.
    pub fn perplexity(&self) -> f64 {
        self.mean().exp()
    }
}

/// Perplexity of tokens under rows of logits, row `i` predicting `next[i]`.
pub fn perplexity<S: Scalar>(logits: &[S], next: &[usize]) -> f64 {
    let mut sum = Likelihood::default();
    sum.add(logits, next);
    sum.perplexity()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_model_is_as_perplexed_as_its_vocabulary_is_large() {
        assert!((perplexity(&[3.0_f32; 20], &[0, 1, 2, 3]) - 5.0).abs() < 1e-12);
        let logits = [0.0, 3.0_f64.ln(), 700.0, -700.0];
        // Probabilities 3/4 and, far apart, 1.
        let expected = (4.0_f64 / 3.0).sqrt();
        assert!((perplexity(&logits, &[1, 0]) - expected).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_number_shows() {
        assert!(perplexity(&[f64::NAN, 1.0], &[1]).is_nan());
        assert!(perplexity(&[1.0, 2.0], &[7]).is_nan() && perplexity::<f64>(&[], &[]).is_nan());
        let mut sum = Likelihood::default();
        sum.add(&[0.0, 0.0], &[1]);
        sum.add(&[0.0, 0.0, 0.0, 0.0], &[0, 1]);
        assert_eq!((sum.tokens, sum.perplexity().round()), (3, 2.0));
    }
}
