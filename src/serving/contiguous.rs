//! A contiguous cache: each request reserves one run of slots when it is admitted.

use super::allocator::{AllocError, Allocator, Demand};
use super::buddy::Buddy;
use super::usage::Usage;
use crate::tensor::Reserve;
use std::collections::BTreeMap;

/// Reservations by one policy, placed by the buddy scheme (A24).
///
/// `internal` is what a reservation holds beyond the request's final length; the rounding of the
/// placement to a power of two is `external`, as is what is free.
#[derive(Debug, Clone)]
pub struct Contiguous {
    reserve: Reserve,
    max_length: u64,
    buddy: Buddy,
    held: BTreeMap<u64, Held>,
}

/// What a request holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    start: u64,
    chunk: u64,
    reservation: u64,
    tokens: u64,
    total: u64,
}

impl Held {
    const fn usage(&self) -> Usage {
        Usage {
            used: self.tokens,
            reserved: self.total - self.tokens,
            internal: self.reservation - self.total,
            external: self.chunk - self.reservation,
        }
    }
}

impl Contiguous {
    /// An empty pool; `max_length` is the longest sequence that the model serves.
    pub fn new(slots: u64, reserve: Reserve, max_length: u64) -> Self {
        Self { reserve, max_length, buddy: Buddy::new(slots), held: BTreeMap::new() }
    }
}

impl Allocator for Contiguous {
    fn slots(&self) -> u64 {
        self.buddy.slots()
    }

    fn admit(&mut self, id: u64, demand: &Demand) -> Result<(), AllocError> {
        if self.held.contains_key(&id) {
            return Err(AllocError::Exists(id));
        }
        let reservation = self.reserve.slots(demand.prompt, demand.output, self.max_length);
        if !self.buddy.ever_fits(reservation) {
            return Err(AllocError::TooLong(demand.total()));
        }
        let (start, chunk) = self.buddy.take(reservation).ok_or(AllocError::Full)?;
        let (tokens, total) = (demand.tokens(), demand.total().max(demand.tokens()));
        self.held.insert(id, Held { start, chunk, reservation, tokens, total });
        Ok(())
    }

    fn append(&mut self, id: u64) -> Result<(), AllocError> {
        let held = self.held.get_mut(&id).ok_or(AllocError::Unknown(id))?;
        if held.tokens == held.reservation {
            return Err(AllocError::TooLong(held.tokens + 1));
        }
        held.tokens += 1;
        held.total = held.total.max(held.tokens);
        Ok(())
    }

    fn release(&mut self, id: u64) -> Result<(), AllocError> {
        let held = self.held.remove(&id).ok_or(AllocError::Unknown(id))?;
        self.buddy.give_back(held.start, held.chunk);
        Ok(())
    }

    fn usage_of(&self, id: u64) -> Result<Usage, AllocError> {
        self.held.get(&id).map(Held::usage).ok_or(AllocError::Unknown(id))
    }

    fn usage(&self) -> Usage {
        let free = Usage { external: self.buddy.free_slots(), ..Usage::default() };
        self.held.values().fold(free, |sum, held| sum + held.usage())
    }
}
