//! Buddy placement: power-of-two chunks, split and merged by halves (Knowlton 1965), which is how
//! Orca places its reservations in the paper's comparison (arXiv 2309.06180, section 6.1).

use std::collections::BTreeSet;

/// Places power-of-two chunks in a pool of any size.
///
/// A pool that is no power of two is a row of them: the binary digits of its size, largest first.
#[derive(Debug, Clone)]
pub struct Buddy {
    slots: u64,
    /// Starts of the free chunks of `2^order` slots, by order.
    free: Vec<BTreeSet<u64>>,
}

/// Slots of a chunk.
const fn size(order: usize) -> u64 {
    1 << order
}

impl Buddy {
    /// A pool that is wholly free.
    pub fn new(slots: u64) -> Self {
        let mut free = vec![BTreeSet::new(); 64];
        let mut start = 0;
        for order in (0..64).rev().filter(|&order| slots & size(order) != 0) {
            free[order].insert(start);
            start += size(order);
        }
        Self { slots, free }
    }

    /// Slots of the pool.
    pub const fn slots(&self) -> u64 {
        self.slots
    }

    /// Whether a request of that many slots fits the pool when it is empty.
    pub fn ever_fits(&self, slots: u64) -> bool {
        slots.checked_next_power_of_two().is_some_and(|chunk| chunk <= self.slots)
    }

    /// Takes the lowest smallest free chunk that holds `slots`; returns its start and its slots.
    pub fn take(&mut self, slots: u64) -> Option<(u64, u64)> {
        let order = slots.max(1).checked_next_power_of_two()?.trailing_zeros() as usize;
        let from = (order..64).find(|&o| !self.free[o].is_empty())?;
        let start = self.free[from].pop_first()?;
        for half in order..from {
            self.free[half].insert(start + size(half));
        }
        Some((start, size(order)))
    }

    /// Gives a chunk back and merges it with its free buddies.
    pub fn give_back(&mut self, start: u64, slots: u64) {
        let (mut start, mut order) = (start, slots.trailing_zeros() as usize);
        // A buddy lies at the other half of the chunk twice as large. Only chunks whose double
        // lies wholly inside one power-of-two part of the pool have one.
        while self.parent_is_whole(start, order) && self.free[order].remove(&(start ^ size(order)))
        {
            start &= !size(order);
            order += 1;
        }
        self.free[order].insert(start);
    }

    /// Free slots.
    pub fn free_slots(&self) -> u64 {
        self.free.iter().enumerate().map(|(order, chunks)| size(order) * chunks.len() as u64).sum()
    }

    fn parent_is_whole(&self, start: u64, order: usize) -> bool {
        let parent = start & !size(order);
        // The part of the pool that holds `start`: parts lie largest first.
        let mut part_start = 0;
        for part in (0..64).rev().filter(|&o| self.slots & size(o) != 0) {
            if start < part_start + size(part) {
                return order < part && parent >= part_start;
            }
            part_start += size(part);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_are_disjoint_and_all_come_back(
            slots in 1..5000u64,
            moves in prop::collection::vec((1..300u64, any::<bool>(), 0..64usize), 1..120),
        ) {
            let mut buddy = Buddy::new(slots);
            let whole = buddy.free.clone();
            let mut held: Vec<(u64, u64)> = vec![];
            for (wanted, give, which) in moves {
                if give && !held.is_empty() {
                    let (start, chunk) = held.swap_remove(which % held.len());
                    buddy.give_back(start, chunk);
                } else if let Some((start, chunk)) = buddy.take(wanted) {
                    prop_assert!(chunk >= wanted && start + chunk <= slots);
                    prop_assert!(held.iter().all(|h| h.0 + h.1 <= start || start + chunk <= h.0));
                    held.push((start, chunk));
                }
                let taken: u64 = held.iter().map(|h| h.1).sum();
                prop_assert_eq!(taken + buddy.free_slots(), slots);
            }
            for (start, chunk) in held {
                buddy.give_back(start, chunk);
            }
            prop_assert_eq!(buddy.free, whole);
        }
    }
}
