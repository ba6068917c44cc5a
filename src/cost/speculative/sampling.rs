//! Accept/reject sampling, simulated: what the closed forms are held against.

use crate::workload::Acceptance;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What simulated loops yielded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Simulated {
    /// Loops.
    pub loops: u64,
    /// Tokens of all loops.
    pub tokens: u64,
    /// Drafted tokens that were accepted.
    pub accepted: u64,
}

impl Simulated {
    /// Mean tokens of a loop.
    pub fn tokens_per_loop(&self) -> f64 {
        self.tokens as f64 / self.loops as f64
    }
}

/// Draws a token from the draft's distribution, and keeps it with probability
/// `min(1, target / draft)`; else draws from `max(0, target - draft)`, normed (arXiv 2302.01318,
/// algorithm 2). The token is distributed as the target's. Also whether the draft's was kept.
pub fn speculative_sample(draft: &[f64], target: &[f64], rng: &mut impl Rng) -> (usize, bool) {
    let token = draw(draft, rng);
    if rng.random::<f64>() * draft[token] < target[token] {
        return (token, true);
    }
    let rest: Vec<f64> = target.iter().zip(draft).map(|(p, q)| (p - q).max(0.0)).collect();
    (draw(&rest, rng), false)
}

/// An index, with probability in proportion to its weight.
fn draw(weights: &[f64], rng: &mut impl Rng) -> usize {
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    let found = weights.iter().position(|w| {
        left -= w;
        left < 0.0
    });
    let last = weights.iter().rposition(|w| *w > 0.0);
    found.or(last).unwrap_or(0)
}

/// Runs loops of `gamma` drafted tokens. At each position draft and target agree on one token of
/// probability `alpha` and on no other, so that the overlap `sum min(p, q)`, which is the
/// acceptance rate, is `alpha`.
pub fn simulate(acceptance: &Acceptance, gamma: u64, loops: u64, seed: u64) -> Simulated {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut total = Simulated { loops, tokens: 0, accepted: 0 };
    for _ in 0..loops {
        let kept = (0..gamma).take_while(|&position| {
            let alpha = acceptance.at(position);
            let (draft, target) = ([alpha, 1.0 - alpha, 0.0], [alpha, 0.0, 1.0 - alpha]);
            speculative_sample(&draft, &target, &mut rng).1
        });
        let kept = kept.count() as u64;
        total.accepted += kept;
        total.tokens += kept + 1;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn simulation_and_closed_form_agree(
            rates in prop::collection::vec(0.0..=1.0f64, 1..6), gamma in 1..6u64, seed in 0..99u64,
        ) {
            let acceptance = Acceptance::new(&rates).expect("rates");
            let (loops, gamma) = (40_000, gamma.min(acceptance.positions().unwrap_or(gamma)));
            let found = simulate(&acceptance, gamma, loops, seed).tokens_per_loop();
            // A loop's tokens lie in 1..=gamma + 1: their deviation is at most gamma / 2.
            let error = 5.0 * (gamma as f64 / 2.0) / (loops as f64).sqrt();
            prop_assert!((found - acceptance.expected_tokens(gamma)).abs() <= error);
        }

        #[test]
        fn tokens_are_distributed_as_the_targets(
            weights in prop::collection::vec((0.01..1.0f64, 0.01..1.0f64), 2..6), seed in 0..99u64,
        ) {
            let normed = |pick: fn(&(f64, f64)) -> f64| {
                let sum: f64 = weights.iter().map(pick).sum();
                weights.iter().map(|w| pick(w) / sum).collect::<Vec<f64>>()
            };
            let (draft, target) = (normed(|w| w.0), normed(|w| w.1));
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let draws = 20_000;
            let (mut seen, mut kept) = (vec![0.0; weights.len()], 0.0);
            for _ in 0..draws {
                let (token, accepted) = speculative_sample(&draft, &target, &mut rng);
                seen[token] += 1.0 / f64::from(draws);
                kept += f64::from(u8::from(accepted)) / f64::from(draws);
            }
            let overlap: f64 = draft.iter().zip(&target).map(|(q, p)| q.min(*p)).sum();
            let error = 5.0 * 0.5 / f64::from(draws).sqrt();
            prop_assert!((kept - overlap).abs() <= error);
            prop_assert!(seen.iter().zip(&target).all(|(s, p)| (s - p).abs() <= error));
        }
    }
}
