//! A paged cache: a request takes one block when its last one is full (vLLM).

use super::allocator::{AllocError, Allocator, Demand};
use super::tables::Tables;
use super::usage::Usage;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::Add;

/// Blocks of equal size, handed out one by one (Kwon et al., arXiv 2309.06180).
///
/// Only the last block of a request has empty slots: `reserved` as far as the request will fill
/// them, else `internal`. Free blocks, and slots beyond the last whole block, are `external`.
#[derive(Debug, Clone)]
pub struct Paged {
    slots: u64,
    tables: Tables,
    /// Blocks that an admission leaves free for the requests that run.
    watermark: u64,
    /// Final length of each request.
    totals: BTreeMap<u64, u64>,
}

impl Paged {
    /// An empty pool that admits down to `watermark` of its blocks.
    pub fn new(slots: u64, block_size: NonZeroU64, watermark: f64) -> Self {
        let blocks = u32::try_from(slots / block_size.get()).unwrap_or(u32::MAX);
        let watermark = (f64::from(blocks) * watermark).floor() as u64;
        let tables = Tables::new(blocks, block_size);
        Self { slots, tables, watermark, totals: BTreeMap::new() }
    }

    /// The block tables.
    pub const fn tables(&self) -> &Tables {
        &self.tables
    }
}

impl Allocator for Paged {
    fn slots(&self) -> u64 {
        self.slots
    }

    fn admit(&mut self, id: u64, demand: &Demand) -> Result<(), AllocError> {
        let size = self.tables.block_size();
        if demand.total().div_ceil(size) > self.tables.blocks().count() {
            return Err(AllocError::TooLong(demand.total()));
        }
        let kept = if self.totals.is_empty() { 0 } else { self.watermark };
        if demand.tokens().div_ceil(size) + kept > self.tables.blocks().free() {
            return Err(AllocError::Full);
        }
        self.tables.create(id)?;
        (0..demand.tokens()).try_for_each(|_| self.tables.append(id).map(|_| ()))?;
        self.totals.insert(id, demand.total());
        Ok(())
    }

    fn append(&mut self, id: u64) -> Result<(), AllocError> {
        self.tables.append(id).map(|_| ())
    }

    fn release(&mut self, id: u64) -> Result<(), AllocError> {
        self.totals.remove(&id);
        self.tables.prune(id)
    }

    fn usage_of(&self, id: u64) -> Result<Usage, AllocError> {
        let tokens = self.tables.tokens(id)?;
        let total = self.totals.get(&id).copied().ok_or(AllocError::Unknown(id))?;
        let empty = tokens.next_multiple_of(self.tables.block_size()) - tokens;
        let reserved = empty.min(total.saturating_sub(tokens));
        Ok(Usage { used: tokens, reserved, internal: empty - reserved, external: 0 })
    }

    fn usage(&self) -> Usage {
        let requests = self.totals.keys().filter_map(|&id| self.usage_of(id).ok());
        let held = requests.fold(Usage::default(), Add::add);
        Usage { external: self.slots - held.total(), ..held }
    }
}
