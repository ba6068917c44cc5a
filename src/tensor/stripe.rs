//! Positions of sequences dealt to ranks in turn.

/// The positions of every sequence that one of `of` ranks holds: `rank`, `rank + of`, ...
///
/// Dealt in turn, positions are as many on every rank, and so are the (query, key) pairs of a causal
/// mask but for the last `of` (Brandon et al., Striped Attention, arXiv 2311.09431).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stripe {
    /// Which rank, from 0.
    pub rank: u64,
    /// How many there are.
    pub of: u64,
}

impl Stripe {
    /// Every position.
    pub const ALL: Self = Self { rank: 0, of: 1 };

    /// The position of the rank's `i`-th.
    pub const fn position(self, i: usize) -> usize {
        i * self.of as usize + self.rank as usize
    }

    /// Whether the rank holds a position.
    pub const fn holds(self, position: usize) -> bool {
        position % self.of as usize == self.rank as usize
    }

    /// How many of the first `positions` the rank holds.
    pub const fn held(self, positions: u64) -> u64 {
        (positions + self.of - 1 - self.rank) / self.of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_hold_every_position_once() {
        for of in 1..5 {
            for positions in 0..12 {
                let held: u64 = (0..of).map(|rank| Stripe { rank, of }.held(positions)).sum();
                assert_eq!(held, positions);
                let first = Stripe { rank: 0, of };
                assert_eq!(first.held(positions), positions.div_ceil(of));
                assert!(
                    first.held(positions) == 0
                        || first.position(first.held(positions) as usize - 1) < positions as usize
                );
            }
        }
    }
}
