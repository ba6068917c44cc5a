//! Bugs of what a case does not have: no softcap to leave out, no scale to forget.

use super::super::cache_format::CacheScales;
use super::paged::Walk;
use super::{Attention, Bugs, Reading, Schedule};

impl Schedule {
    /// Whether the schedule is right on a case whatever its inputs are.
    pub(super) fn is_idle(&self, case: &Attention) -> bool {
        let bugs = &self.bugs;
        let always = bugs.unscaled || bugs.base2 || bugs.short || bugs.averaged;
        let read = bugs.memory.is_some() || bugs.inputs.is_some();
        let moved = read || bugs.output.is_some() || bugs.written.is_some();
        let acts = always || moved || bugs.sums.is_some();
        !acts
            && bugs.sees_alike(case)
            && bugs.scores_alike(case)
            && bugs.reads_alike(case)
            && (!bugs.padded || case.keys().is_multiple_of(self.tile as u64))
    }
}

impl Bugs {
    /// The same keys for every query.
    fn sees_alike(&self, case: &Attention) -> bool {
        if case.non_causal {
            return !self.causal;
        }
        let aligned = !self.top_left || case.seq == case.keys();
        self.shift == 0 && !self.unmasked && aligned && (self.window)(case) == case.window
    }

    /// The same scores of the same keys.
    fn scores_alike(&self, case: &Attention) -> bool {
        (self.scale)(case) == 1.0
            && (self.softcap || case.softcap.is_none())
            && (self.alibi || !case.alibi)
            && (self.sinks || !case.sinks)
    }

    /// The same numbers of the same heads.
    fn reads_alike(&self, case: &Attention) -> bool {
        let shared = case.kv.shared() == CacheScales::Tensor;
        let numbers = match self.cache {
            _ if case.kv.dtype.is_none() => true,
            Reading::Right => true,
            Reading::NextHead | Reading::FirstHead => shared,
            _ => false,
        };
        let blocks = self.walk == Walk::Right || case.block.is_none();
        let heads =
            (0..case.heads as usize).all(|h| (self.head)(case, h) == (Self::NONE.head)(case, h));
        numbers && blocks && heads
    }
}
