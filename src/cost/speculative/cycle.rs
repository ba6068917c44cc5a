//! One loop of drafting and verifying, against plain decoding.

use crate::units::Seconds;
use crate::workload::Acceptance;

/// Times of one loop (A29).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cycle {
    /// Drafted tokens.
    pub gamma: u64,
    /// All draft steps of the loop.
    pub draft: Seconds,
    /// The target's step over `gamma + 1` tokens.
    pub verify: Seconds,
    /// The target's step over one token, without a draft.
    pub plain: Seconds,
}

impl Cycle {
    /// Draft and verification, one after the other.
    pub fn time(&self) -> Seconds {
        self.draft + self.verify
    }

    /// Time per token: loop time over expected tokens.
    pub fn per_token(&self, acceptance: &Acceptance) -> Seconds {
        self.time() / acceptance.expected_tokens(self.gamma)
    }

    /// How many times as fast as plain decoding; `E / (gamma c + 1)` where a draft step takes `c`
    /// plain steps and a verify step one (arXiv 2211.17192, theorem 3.8).
    pub fn speed_up(&self, acceptance: &Acceptance) -> f64 {
        self.plain / self.per_token(acceptance)
    }

    /// The constant acceptance rate at which the loop is as fast as plain decoding; `None` where
    /// it is slower even if every draft is accepted, and without a draft.
    ///
    /// Solves `E(alpha, gamma) = loop time / plain time` by bisection: `E` rises with alpha from
    /// `1` to `gamma + 1`.
    pub fn break_even(&self) -> Option<f64> {
        let needed = self.time() / self.plain;
        if self.gamma == 0 || needed > self.gamma as f64 + 1.0 {
            return None;
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..f64::MANTISSA_DIGITS {
            let middle = (low + high) / 2.0;
            let tokens = Acceptance::Constant(middle).expected_tokens(self.gamma);
            if tokens < needed { low = middle } else { high = middle }
        }
        Some(high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn at_the_break_even_acceptance_nothing_is_won(
            gamma in 1..12u64, draft in 0.0..3.0f64, verify in 1.0..3.0f64,
        ) {
            let (draft, verify) = (Seconds::new(draft), Seconds::new(verify));
            let cycle = Cycle { gamma, draft, verify, plain: Seconds::new(1.0) };
            match cycle.break_even() {
                Some(alpha) => {
                    let speed_up = cycle.speed_up(&Acceptance::Constant(alpha));
                    prop_assert!((speed_up - 1.0).abs() < 1e-6, "{alpha}: {speed_up}");
                }
                None => prop_assert!(cycle.speed_up(&Acceptance::Constant(1.0)) < 1.0),
            }
        }
    }
}
