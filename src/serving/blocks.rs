//! Blocks of KV memory with reference counts.

use super::allocator::AllocError;

/// A block of the pool by its number.
pub type BlockId = u32;

/// Equal blocks, free or held by a number of block tables.
#[derive(Debug, Clone)]
pub struct Blocks {
    holders: Vec<u32>,
    free: Vec<BlockId>,
}

impl Blocks {
    /// A pool of free blocks.
    pub fn new(count: u32) -> Self {
        Self { holders: vec![0; count as usize], free: (0..count).rev().collect() }
    }

    /// Takes a free block; one table holds it.
    ///
    /// # Errors
    /// [`AllocError::Full`].
    pub fn take(&mut self) -> Result<BlockId, AllocError> {
        let block = self.free.pop().ok_or(AllocError::Full)?;
        self.holders[block as usize] = 1;
        Ok(block)
    }

    /// One more table holds a block that is held already.
    pub fn retain(&mut self, block: BlockId) {
        debug_assert!(self.holders[block as usize] > 0, "a free block is shared");
        self.holders[block as usize] += 1;
    }

    /// One table less holds a block; the last one frees it.
    pub fn release(&mut self, block: BlockId) {
        let holders = &mut self.holders[block as usize];
        debug_assert!(*holders > 0, "a free block is freed");
        *holders -= 1;
        if *holders == 0 {
            self.free.push(block);
        }
    }

    /// Tables that hold a block.
    pub fn holders(&self, block: BlockId) -> u32 {
        self.holders[block as usize]
    }

    /// Free blocks.
    pub fn free(&self) -> u64 {
        self.free.len() as u64
    }

    /// All blocks.
    pub fn count(&self) -> u64 {
        self.holders.len() as u64
    }
}

#[cfg(test)]
impl Blocks {
    pub(super) fn free_list(&self) -> &[BlockId] {
        &self.free
    }
}
