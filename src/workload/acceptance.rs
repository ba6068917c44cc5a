//! How often the target accepts what the draft proposes.

use crate::diagnostic::{Diagnostic, clip};
use std::fmt;
use std::str::FromStr;

/// The acceptance rate (alpha): the probability that a drafted token is accepted where all before
/// it in the loop were, each in `0..=1` (A28).
#[derive(Debug, Clone, PartialEq)]
pub enum Acceptance {
    /// The same at every position.
    Constant(f64),
    /// Position by position; as many positions as may be drafted.
    PerPosition(Vec<f64>),
}

/// Acceptance rates that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AcceptanceError {
    /// No probability.
    #[error("acceptance {0} is not within 0 to 1")]
    OutOfRange(f64),
    /// No rate at all.
    #[error("no acceptance rate")]
    Missing,
}

impl Acceptance {
    /// One rate for every position, or one for each.
    ///
    /// # Errors
    /// No rate, or one outside `0..=1`.
    pub fn new(rates: &[f64]) -> Result<Self, AcceptanceError> {
        if let Some(&bad) = rates.iter().find(|a| !(0.0..=1.0).contains(*a)) {
            return Err(AcceptanceError::OutOfRange(bad));
        }
        match *rates {
            [] => Err(AcceptanceError::Missing),
            [one] => Ok(Self::Constant(one)),
            _ => Ok(Self::PerPosition(rates.to_vec())),
        }
    }

    /// Rate of a position, counted from 0; 0 behind the last one that has a rate.
    pub fn at(&self, position: u64) -> f64 {
        match self {
            Self::Constant(alpha) => *alpha,
            Self::PerPosition(rates) => rates.get(position as usize).copied().unwrap_or(0.0),
        }
    }

    /// Most positions that have a rate; `None` where every position has.
    pub fn positions(&self) -> Option<u64> {
        match self {
            Self::Constant(_) => None,
            Self::PerPosition(rates) => Some(rates.len() as u64),
        }
    }

    /// Tokens that a loop yields on average: the accepted ones and the target's own,
    /// `1 + a_1 + a_1 a_2 + ... + a_1 ... a_gamma`; `(1 - a^(gamma + 1)) / (1 - a)` for a constant
    /// rate (arXiv 2211.17192, equation 1).
    pub fn expected_tokens(&self, gamma: u64) -> f64 {
        match *self {
            Self::Constant(1.0) => gamma as f64 + 1.0,
            Self::Constant(alpha) => (1.0 - alpha.powf(gamma as f64 + 1.0)) / (1.0 - alpha),
            Self::PerPosition(ref rates) => {
                let accepted = rates.iter().take(gamma as usize).scan(1.0, |reached, alpha| {
                    *reached *= alpha;
                    Some(*reached)
                });
                1.0 + accepted.sum::<f64>()
            }
        }
    }

    /// The least number that no loop yields more tokens than, on average, whatever gamma is;
    /// infinite where every draft is accepted.
    pub fn most_tokens(&self) -> f64 {
        match self {
            Self::Constant(alpha) => 1.0 / (1.0 - alpha),
            Self::PerPosition(rates) => self.expected_tokens(rates.len() as u64),
        }
    }
}

impl FromStr for Acceptance {
    type Err = Diagnostic;

    /// From `0.8`, or from a rate for each position: `0.8,0.7,0.6` or `0.8/0.7/0.6`.
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let refused = |why: String| {
            let hint = "for instance 0.8, or a rate for each position: 0.8,0.7,0.6,0.5";
            Diagnostic::new(why).hint(hint)
        };
        let rate = |part: &str| {
            let number = part.trim().parse::<f64>();
            number.map_err(|_| refused(format!("acceptance `{}` is not a number", clip(part))))
        };
        let rates = text.split([',', '/']).map(rate).collect::<Result<Vec<f64>, _>>()?;
        Self::new(&rates).map_err(|e| refused(e.to_string()))
    }
}

impl fmt::Display for Acceptance {
    /// As it is written in a list of values: `0.8`, or `0.8/0.7/0.6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(alpha) => write!(f, "{alpha}"),
            Self::PerPosition(rates) => {
                f.write_str(&rates.iter().map(f64::to_string).collect::<Vec<_>>().join("/"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_closed_form_is_the_sum_over_positions(alpha in 0.0..=1.0f64, gamma in 1..40u64) {
            let equal = Acceptance::PerPosition(vec![alpha; gamma as usize]);
            let closed = Acceptance::Constant(alpha);
            let (a, b) = (equal.expected_tokens(gamma), closed.expected_tokens(gamma));
            prop_assert!((a - b).abs() < 1e-9 * b, "{a} {b}");
            prop_assert!(b <= closed.most_tokens() * (1.0 + 1e-12));
        }
    }

    #[test]
    fn certain_and_hopeless_drafts() {
        assert_eq!(Acceptance::Constant(1.0).expected_tokens(4), 5.0);
        assert_eq!(Acceptance::Constant(0.0).expected_tokens(4), 1.0);
        let falling = Acceptance::new(&[0.8, 0.5]).expect("rates");
        assert!((falling.expected_tokens(2) - (1.0 + 0.8 + 0.4)).abs() < 1e-15);
        assert_eq!(falling.expected_tokens(1), 1.8);
        assert!(Acceptance::new(&[1.1]).is_err() && Acceptance::new(&[f64::NAN]).is_err());
        assert_eq!(Acceptance::new(&[]), Err(AcceptanceError::Missing));
    }
}
