//! The number of drafted tokens that gives the most tokens per second.

use super::cycle::Cycle;
use crate::workload::Acceptance;

/// Most tokens that a loop is searched for.
pub const MAX_GAMMA: u64 = 256;

/// The fastest loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optimum {
    /// Drafted tokens; 0 where no draft pays.
    pub gamma: u64,
    /// How many times as fast as plain decoding; 1 where no draft pays.
    pub speed_up: f64,
    /// Whether no larger gamma is faster. `false` where the search ended at its limit.
    pub proven: bool,
}

/// The gamma of `1..=limit` with the largest speed-up, the smallest among equals; 0 where none
/// exceeds 1.
///
/// Every gamma is tried until none that follows can win: a longer loop takes no less time, and
/// yields at most [`Acceptance::most_tokens`], so once `most_tokens / time(gamma)` is no more than
/// the best rate found, every larger gamma is at most as fast.
pub fn optimal_gamma(acceptance: &Acceptance, limit: u64, cycle: impl Fn(u64) -> Cycle) -> Optimum {
    let limit = limit.min(acceptance.positions().unwrap_or(u64::MAX));
    let mut best = Optimum { gamma: 0, speed_up: 1.0, proven: true };
    for gamma in 1..=limit.min(MAX_GAMMA) {
        let cycle = cycle(gamma);
        let speed_up = cycle.speed_up(acceptance);
        if speed_up > best.speed_up {
            best = Optimum { gamma, speed_up, ..best };
        }
        if acceptance.most_tokens() * (cycle.plain / cycle.time()) <= best.speed_up {
            return best;
        }
    }
    Optimum { proven: limit <= MAX_GAMMA, ..best }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Seconds;
    use proptest::prelude::*;

    fn loops(draft: f64, growth: f64) -> impl Fn(u64) -> Cycle {
        move |gamma| Cycle {
            gamma,
            draft: Seconds::new(draft * gamma as f64),
            verify: Seconds::new(1.0 + growth * gamma as f64),
            plain: Seconds::new(1.0),
        }
    }

    proptest! {
        #[test]
        fn no_gamma_is_faster(alpha in 0.0..0.99f64, draft in 0.0..0.5f64, growth in 0.0..0.2f64) {
            let (acceptance, cycle) = (Acceptance::Constant(alpha), loops(draft, growth));
            let best = optimal_gamma(&acceptance, u64::MAX, &cycle);
            for gamma in 1..MAX_GAMMA {
                prop_assert!(cycle(gamma).speed_up(&acceptance) <= best.speed_up);
            }
            let paid = best.gamma > 0;
            prop_assert!(!paid || cycle(best.gamma).speed_up(&acceptance) == best.speed_up);
        }
    }

    #[test]
    fn a_free_certain_draft_ends_at_the_limit() {
        let best = optimal_gamma(&Acceptance::Constant(1.0), u64::MAX, loops(0.0, 0.0));
        assert_eq!((best.gamma, best.proven), (MAX_GAMMA, false));
        let few = Acceptance::PerPosition(vec![1.0; 3]);
        assert_eq!(optimal_gamma(&few, u64::MAX, loops(0.0, 0.0)).gamma, 3);
        assert_eq!(optimal_gamma(&Acceptance::Constant(0.0), 8, loops(0.1, 0.0)).gamma, 0);
    }
}
