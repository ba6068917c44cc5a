//! Products that were mapped before: the search over tiles and splits is done once for every shape.

use crate::mapped::Mapped;
use std::cell::RefCell;
use std::collections::HashMap;

/// Most shapes that are kept: some tens of megabytes.
const MOST: usize = 1 << 18;

/// A product: the node of the plan, and the bits of its groups, rows, columns and length.
pub(super) type Key = [u64; 5];

/// How often a product had been mapped before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lookups {
    /// Found.
    pub hits: u64,
    /// Searched for.
    pub misses: u64,
}

impl std::ops::Add for Lookups {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self { hits: self.hits + o.hits, misses: self.misses + o.misses }
    }
}

impl Lookups {
    /// Found over all; `None` without any.
    pub fn hit_rate(&self) -> Option<f64> {
        let all = self.hits + self.misses;
        (all > 0).then(|| self.hits as f64 / all as f64)
    }
}

/// The products of one plan on one device.
#[derive(Debug, Clone, Default)]
pub(super) struct Memo(RefCell<(HashMap<Key, Mapped>, Lookups)>);

impl Memo {
    /// The mapping of a product, searched where it is not known.
    pub(super) fn get(&self, key: Key, search: impl FnOnce() -> Mapped) -> Mapped {
        let (known, lookups) = &mut *self.0.borrow_mut();
        if let Some(found) = known.get(&key) {
            lookups.hits += 1;
            return *found;
        }
        lookups.misses += 1;
        let mapped = search();
        if known.len() < MOST {
            known.insert(key, mapped);
        }
        mapped
    }

    pub(super) fn lookups(&self) -> Lookups {
        self.0.borrow().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_searched_for_once() {
        let memo = Memo::default();
        let search = |seconds: f64| move || Mapped { seconds, ..Mapped::default() };
        let key = |m: u64| [1, 1, m, 4096, 4096];
        assert_eq!(memo.get(key(8), search(1.0)).seconds, 1.0);
        assert_eq!(memo.get(key(8), search(2.0)).seconds, 1.0);
        assert_eq!(memo.get(key(9), search(3.0)).seconds, 3.0);
        assert_eq!(memo.lookups(), Lookups { hits: 1, misses: 2 });
        assert_eq!(memo.lookups().hit_rate(), Some(1.0 / 3.0));
        assert_eq!(Lookups::default().hit_rate(), None);
    }
}
