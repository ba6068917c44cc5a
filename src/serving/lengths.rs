//! Lengths of requests, drawn from a distribution.

use rand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};

/// Log-normal prompt and output lengths with given means and one coefficient of variation, each at
/// least one token, together at most `longest`.
///
/// `X = exp(mu + sigma Z)` with `sigma^2 = ln(1 + cv^2)` and `mu = ln(mean) - sigma^2 / 2`, so that
/// `E[X] = mean` and `sd / E = cv` before the cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lengths {
    /// Mean prompt, tokens.
    pub prompt: f64,
    /// Mean output, tokens.
    pub output: f64,
    /// Standard deviation over mean, of both.
    pub cv: f64,
    /// Most tokens of prompt and output together.
    pub longest: u64,
}

impl Lengths {
    /// Prompt and output of one request.
    pub fn draw(&self, random: &mut impl Rng) -> (u64, u64) {
        let prompt = self.length(self.prompt, random).min(self.longest.saturating_sub(1)).max(1);
        let output = self.length(self.output, random).min(self.longest - prompt.min(self.longest));
        (prompt, output.max(1))
    }

    fn length(&self, mean: f64, random: &mut impl Rng) -> u64 {
        let variance = self.cv.mul_add(self.cv, 1.0).ln();
        let p: f64 = random.random_range(f64::EPSILON..1.0);
        let z = Normal::standard().inverse_cdf(p);
        let x = (mean.ln() - variance / 2.0 + variance.sqrt() * z).exp();
        (x.round() as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn means_and_spread_are_as_asked() {
        let lengths = Lengths { prompt: 161.31, output: 337.99, cv: 0.8, longest: 1 << 20 };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let drawn: Vec<(u64, u64)> = (0..40_000).map(|_| lengths.draw(&mut random)).collect();
        let n = drawn.len() as f64;
        let (prompt, output) =
            drawn.iter().fold((0.0, 0.0), |s, d| (s.0 + d.0 as f64 / n, s.1 + d.1 as f64 / n));
        let square: f64 = drawn.iter().map(|d| (d.1 as f64 - output).powi(2) / n).sum();
        assert!((prompt / 161.31 - 1.0).abs() < 0.02, "{prompt}");
        assert!((output / 337.99 - 1.0).abs() < 0.02, "{output}");
        assert!((square.sqrt() / output / 0.8 - 1.0).abs() < 0.05, "{}", square.sqrt() / output);
    }
}
