//! Block tables of sequences: paging, sharing with reference counts, copy-on-write.

use super::allocator::AllocError;
use super::blocks::{BlockId, Blocks};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// Where a token's keys and values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The block.
    pub block: BlockId,
    /// The place inside it.
    pub offset: u64,
    /// The shared block whose first `offset` slots are to be copied here before the write.
    pub copied_from: Option<BlockId>,
}

/// Block tables of sequences over one pool (Kwon et al., arXiv 2309.06180, sections 4.3 and 4.4).
#[derive(Debug, Clone)]
pub struct Tables {
    block_size: u64,
    blocks: Blocks,
    tables: BTreeMap<u64, Table>,
}

#[derive(Debug, Clone, Default)]
struct Table {
    blocks: Vec<BlockId>,
    tokens: u64,
}

impl Tables {
    /// No sequence, and a pool of that many blocks of `block_size` tokens.
    pub fn new(blocks: u32, block_size: NonZeroU64) -> Self {
        let block_size = block_size.get();
        Self { block_size, blocks: Blocks::new(blocks), tables: BTreeMap::new() }
    }

    /// An empty sequence.
    ///
    /// # Errors
    /// A number in use.
    pub fn create(&mut self, id: u64) -> Result<(), AllocError> {
        self.insert(id, Table::default())
    }

    /// Writes one more token: into the last block, into a copy of it where others hold it too, or
    /// into a fresh one.
    ///
    /// # Errors
    /// [`AllocError::Full`] and nothing changed; an unknown number.
    pub fn append(&mut self, id: u64) -> Result<Slot, AllocError> {
        let table = self.tables.get_mut(&id).ok_or(AllocError::Unknown(id))?;
        let offset = table.tokens % self.block_size;
        let mut copied_from = None;
        let block = match table.blocks.last_mut() {
            Some(last) if offset > 0 => {
                if self.blocks.holders(*last) > 1 {
                    let copy = self.blocks.take()?;
                    self.blocks.release(*last);
                    copied_from = Some(*last);
                    *last = copy;
                }
                *last
            }
            _ => {
                let block = self.blocks.take()?;
                table.blocks.push(block);
                block
            }
        };
        table.tokens += 1;
        Ok(Slot { block, offset, copied_from })
    }

    /// A second sequence with the same tokens, which shares every block: a sample or a beam.
    ///
    /// # Errors
    /// An unknown parent, or a child's number in use.
    pub fn fork(&mut self, parent: u64, child: u64) -> Result<(), AllocError> {
        let tokens = self.tokens(parent)?;
        self.share(parent, child, tokens.div_ceil(self.block_size), tokens)
    }

    /// A second sequence that begins with the same `tokens`: shares the blocks that they fill
    /// whole; returns how many tokens those hold.
    ///
    /// # Errors
    /// An unknown sequence, or the other's number in use.
    pub fn share_prefix(&mut self, from: u64, to: u64, tokens: u64) -> Result<u64, AllocError> {
        let blocks = tokens.min(self.tokens(from)?) / self.block_size;
        self.share(from, to, blocks, blocks * self.block_size)?;
        Ok(blocks * self.block_size)
    }

    /// Ends a sequence: blocks that no other holds are freed.
    ///
    /// # Errors
    /// An unknown number.
    pub fn prune(&mut self, id: u64) -> Result<(), AllocError> {
        let table = self.tables.remove(&id).ok_or(AllocError::Unknown(id))?;
        table.blocks.iter().for_each(|&block| self.blocks.release(block));
        Ok(())
    }

    /// Tokens of a sequence.
    ///
    /// # Errors
    /// An unknown number.
    pub fn tokens(&self, id: u64) -> Result<u64, AllocError> {
        self.tables.get(&id).map(|t| t.tokens).ok_or(AllocError::Unknown(id))
    }

    /// The blocks of a sequence, in the order of its tokens.
    ///
    /// # Errors
    /// An unknown number.
    pub fn table(&self, id: u64) -> Result<&[BlockId], AllocError> {
        self.tables.get(&id).map(|t| t.blocks.as_slice()).ok_or(AllocError::Unknown(id))
    }

    /// The sequences' numbers.
    pub fn sequences(&self) -> impl Iterator<Item = u64> + '_ {
        self.tables.keys().copied()
    }

    /// The pool.
    pub const fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// Tokens of a block.
    pub const fn block_size(&self) -> u64 {
        self.block_size
    }

    fn share(&mut self, from: u64, to: u64, blocks: u64, tokens: u64) -> Result<(), AllocError> {
        let shared = self.table(from)?[..blocks as usize].to_vec();
        self.insert(to, Table { blocks: shared.clone(), tokens })?;
        shared.iter().for_each(|&block| self.blocks.retain(block));
        Ok(())
    }

    fn insert(&mut self, id: u64, table: Table) -> Result<(), AllocError> {
        if self.tables.contains_key(&id) {
            return Err(AllocError::Exists(id));
        }
        self.tables.insert(id, table);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tables/tests.rs"]
mod tests;
