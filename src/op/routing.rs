//! How tokens spread over experts: what decides how many experts a step touches.

use std::sync::Arc;

/// How likely tokens are to choose each expert.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Routing {
    /// Every expert alike: what a load-balancing loss aims at.
    #[default]
    Uniform,
    /// Expert `r` in order of popularity has weight `r^-exponent`.
    Zipf {
        /// 0 is uniform; finite and at least 0.
        exponent: f64,
    },
}

/// A text that names no routing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("routing `{0}` is neither `uniform` nor `zipf:S` with S a number from 0 to 10")]
pub struct ParseRoutingError(String);

impl std::str::FromStr for Routing {
    type Err = ParseRoutingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let exponent = match text.split_once(':') {
            None if text == "uniform" => return Ok(Self::Uniform),
            Some(("zipf", exponent)) => exponent.parse().ok(),
            _ => None,
        };
        let legal = exponent.filter(|s| (0.0..=10.0).contains(s));
        let unknown = || ParseRoutingError(crate::diagnostic::clip(text));
        legal.map(|exponent| Self::Zipf { exponent }).ok_or_else(unknown)
    }
}

impl std::fmt::Display for Routing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf { exponent } => write!(f, "zipf:{exponent}"),
        }
    }
}

impl Routing {
    /// The load of `experts` experts of which each token chooses `active` (A32).
    pub fn load(self, experts: u64, active: u64) -> ExpertLoad {
        match self {
            Self::Uniform => ExpertLoad::Uniform { experts, active, held: experts },
            Self::Zipf { exponent } => {
                let weights = (1..=experts).map(|rank| (rank as f64).powf(-exponent));
                let probabilities = inclusion(weights.collect(), active as f64).into();
                ExpertLoad::Skewed { probabilities, experts, active }
            }
        }
    }
}

/// Probability of each expert to be among a token's `active`: in proportion to its weight, none
/// above 1, `active` in sum. Experts whose share would pass 1 are always chosen, and the rest share
/// what is left.
fn inclusion(weights: Vec<f64>, active: f64) -> Vec<f64> {
    // Weights descend, so the experts that are always chosen come first. Sums start at the small
    // end: differences of large ones would lose it.
    let left = |certain: usize| weights[certain..].iter().rev().sum::<f64>();
    let passes = |certain: &usize| (active - *certain as f64) * weights[*certain] >= left(*certain);
    let certain = (0..weights.len()).take_while(passes).count();
    let (room, left) = (active - certain as f64, left(certain));
    let share =
        |(rank, weight): (usize, f64)| if rank < certain { 1.0 } else { room * weight / left };
    weights.iter().copied().enumerate().map(share).collect()
}

/// The experts that a rank holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The first.
    pub first: u64,
    /// How many, one behind the other.
    pub count: u64,
    /// Of how many there are (E).
    pub of: u64,
}

impl Held {
    /// All of them.
    pub const fn all(experts: u64) -> Self {
        Self { first: 0, count: experts, of: experts }
    }

    /// Place of an expert among those held; `None` where it is held elsewhere.
    pub fn place(&self, expert: u64) -> Option<u64> {
        (self.first..self.first + self.count).contains(&expert).then(|| expert - self.first)
    }

    /// Whether none is held elsewhere.
    pub const fn is_all(&self) -> bool {
        self.count == self.of
    }
}

/// How many experts the tokens of a step touch.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpertLoad {
    /// Every expert is as likely.
    Uniform {
        /// Experts to choose from (E).
        experts: u64,
        /// Experts per token (k).
        active: u64,
        /// Experts that are held here.
        held: u64,
    },
    /// Each expert with a probability of its own.
    Skewed {
        /// Of each expert that is held here to be among a token's.
        probabilities: Arc<[f64]>,
        /// Experts to choose from (E).
        experts: u64,
        /// Experts per token (k).
        active: u64,
    },
    /// So many, whatever the step: a routing that happened.
    Realised {
        /// Distinct experts.
        distinct: f64,
        /// Tokens that chose one of them; a mean where several ranks hold experts.
        tokens: f64,
        /// Choices of them.
        rows: f64,
    },
}

impl ExpertLoad {
    /// Expected distinct experts that `tokens` independent tokens touch:
    /// `sum_e 1 - (1 - p_e)^tokens`, with `p_e = k/E` where all are alike.
    pub fn distinct(&self, tokens: f64) -> f64 {
        let touched = |p: f64| 1.0 - (1.0 - p).powf(tokens);
        match self {
            Self::Uniform { experts, active, held } => {
                *held as f64 * touched(*active as f64 / *experts as f64)
            }
            Self::Skewed { probabilities, .. } => probabilities.iter().map(|&p| touched(p)).sum(),
            Self::Realised { distinct, .. } => *distinct,
        }
    }

    /// Expected choices of the experts held here: `T sum_e p_e`.
    pub fn rows(&self, tokens: f64) -> f64 {
        match self {
            Self::Uniform { experts, active, held } => {
                tokens * *active as f64 * (*held as f64 / *experts as f64)
            }
            Self::Skewed { active, .. } if self.is_whole() => tokens * *active as f64,
            Self::Skewed { probabilities, .. } => tokens * probabilities.iter().rev().sum::<f64>(),
            Self::Realised { rows, .. } => *rows,
        }
    }

    /// Expected tokens that choose one of the experts held here: of `E` alike, of which `h` are held,
    /// `1 - C(E - h, k) / C(E, k)` of them; else as if each expert were chosen on its own (A70).
    pub fn tokens(&self, tokens: f64) -> f64 {
        let none: f64 = match self {
            Self::Uniform { experts, active, held } => (0..*active)
                .map(|j| (experts - j).saturating_sub(*held) as f64 / (experts - j) as f64)
                .product(),
            Self::Skewed { .. } if self.is_whole() => 0.0,
            Self::Skewed { probabilities, .. } => probabilities.iter().map(|p| 1.0 - p).product(),
            Self::Realised { tokens, .. } => return *tokens,
        };
        tokens * (1.0 - none)
    }

    /// Whether every expert is held here.
    fn is_whole(&self) -> bool {
        match self {
            Self::Uniform { experts, held, .. } => experts == held,
            Self::Skewed { probabilities, experts, .. } => probabilities.len() as u64 == *experts,
            Self::Realised { .. } => true,
        }
    }

    /// The load of one of `groups` groups that the experts are dealt to in turn, the most popular
    /// first: the group that has most to do (A70).
    #[must_use]
    pub fn dealt(&self, groups: u64) -> Self {
        match self {
            Self::Uniform { experts, active, held } => {
                Self::Uniform { experts: *experts, active: *active, held: held / groups }
            }
            Self::Skewed { probabilities, experts, active } => Self::Skewed {
                probabilities: probabilities.iter().copied().step_by(groups as usize).collect(),
                experts: *experts,
                active: *active,
            },
            Self::Realised { .. } => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Inclusion probabilities of a load.
    fn probabilities(load: &ExpertLoad) -> Vec<f64> {
        match load {
            ExpertLoad::Uniform { experts, active, .. } => {
                vec![*active as f64 / *experts as f64; *experts as usize]
            }
            ExpertLoad::Skewed { probabilities, .. } => probabilities.to_vec(),
            ExpertLoad::Realised { .. } => vec![],
        }
    }

    #[test]
    fn probabilities_sum_to_the_experts_per_token_and_none_passes_one() {
        for exponent in [0.0, 0.5, 1.0, 2.0, 10.0] {
            for (experts, active) in [(8, 2), (128, 8), (256, 8), (5, 5), (1, 1)] {
                let p = probabilities(&Routing::Zipf { exponent }.load(experts, active));
                let sum: f64 = p.iter().sum();
                assert!((sum - active as f64).abs() < 1e-9, "{exponent} {experts} {active}: {sum}");
                assert!(p.iter().all(|&p| (0.0..=1.0).contains(&p)), "{p:?}");
                assert!(p.is_sorted_by(|a, b| a >= b), "{p:?}");
            }
        }
    }

    #[test]
    fn groups_of_experts_share_choices_and_tokens() {
        for routing in [Routing::Uniform, Routing::Zipf { exponent: 1.0 }] {
            let whole = routing.load(64, 8);
            assert_eq!((whole.rows(100.0), whole.tokens(100.0)), (800.0, 100.0));
            let group = whole.dealt(8);
            // The first group has the most popular expert; alike, all have as much to do.
            assert!(group.rows(100.0) >= 100.0 - 1e-9, "{routing}");
            assert!(group.tokens(100.0) < group.rows(100.0), "{routing}");
            assert!(group.distinct(1e9) <= 8.0);
        }
        // 1 - C(56, 8) / C(64, 8).
        let tokens = Routing::Uniform.load(64, 8).dealt(8).tokens(1.0);
        assert!((tokens - (1.0 - 1_420_494_075.0 / 4_426_165_368.0)).abs() < 1e-12, "{tokens}");
    }

    #[test]
    fn expected_experts_agree_with_drawn_ones() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for routing in [Routing::Uniform, Routing::Zipf { exponent: 1.0 }] {
            for (experts, active, tokens) in [(8, 2, 3), (32, 4, 16), (128, 8, 64)] {
                let load = routing.load(experts, active);
                let p = probabilities(&load);
                let trials = 4000;
                let mut touched = 0;
                for _ in 0..trials {
                    let mut seen = vec![false; experts as usize];
                    for _ in 0..tokens {
                        systematic(&p, rng.random(), &mut seen);
                    }
                    touched += seen.iter().filter(|s| **s).count();
                }
                let drawn = f64::from(touched as u32) / f64::from(trials);
                let expected = load.distinct(f64::from(tokens));
                assert!((drawn / expected - 1.0).abs() < 0.01, "{routing}: {drawn} {expected}");
            }
        }
    }

    /// Chooses experts with the given probabilities, as many as they sum to: those in whose stretch
    /// of the cumulated probabilities `start` plus a whole number falls (Madow 1949).
    fn systematic(p: &[f64], start: f64, seen: &mut [bool]) {
        let mut cumulated = 0.0;
        for (seen, p) in seen.iter_mut().zip(p) {
            let before = (cumulated - start).ceil();
            cumulated += p;
            *seen |= (cumulated - start).ceil() > before;
        }
    }

    #[test]
    fn one_token_touches_its_own_and_many_touch_all() {
        for routing in [Routing::Uniform, Routing::Zipf { exponent: 1.2 }] {
            let load = routing.load(64, 6);
            assert!((load.distinct(1.0) - 6.0).abs() < 1e-12);
            assert!((load.distinct(1e6) - 64.0).abs() < 1e-6);
        }
        assert!(
            Routing::Zipf { exponent: 1.0 }.load(64, 6).distinct(16.0)
                < Routing::Uniform.load(64, 6).distinct(16.0)
        );
    }

    #[test]
    fn names_read_back() {
        for text in ["uniform", "zipf:0.8", "zipf:1"] {
            assert_eq!(text.parse::<Routing>().expect("valid").to_string(), text);
        }
        for text in ["zipf", "zipf:", "zipf:-1", "zipf:nan", "zipf:11", "skewed"] {
            assert!(text.parse::<Routing>().is_err(), "{text}");
        }
    }
}
