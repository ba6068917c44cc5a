//! A paged KV cache in the executor: where the rows of each sequence lie in a pool of blocks.

use crate::tensor::{Dim, Role, Step, TensorType};
use std::num::NonZeroU64;

/// Places of the cached rows of a step, from the block tables of its sequences (Kwon et al., arXiv
/// 2309.06180): token `t` of a sequence lies at `table[t / B] B + t mod B` of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagedRows {
    past: Vec<usize>,
    context: Vec<usize>,
    pool: usize,
}

impl PagedRows {
    /// The rows of a step whose sequences have these block tables, in order. Sequences may share
    /// blocks that the step does not write.
    ///
    /// # Panics
    /// A table that is too short for its sequence.
    pub fn new(step: &Step, block: NonZeroU64, tables: &[&[u32]]) -> Self {
        let size = block.get() as usize;
        let (mut past, mut context) = (vec![], vec![]);
        for (sequence, table) in step.sequences().zip(tables) {
            let row = |token: usize| table[token / size] as usize * size + token % size;
            past.extend((0..sequence.past).map(row));
            context.extend((0..sequence.past + sequence.new).map(row));
        }
        let blocks =
            tables.iter().flat_map(|t| t.iter()).max().map_or(0, |&last| last as usize + 1);
        Self { past, context, pool: blocks * size }
    }

    /// Rows of the pool.
    pub const fn pool(&self) -> usize {
        self.pool
    }

    /// The places of a value's rows, where it is a cache that grows with the sequence.
    pub fn of(&self, ty: &TensorType) -> Option<&[usize]> {
        match (ty.role, ty.rows) {
            (Role::KvCache { .. }, Dim::Past) => Some(&self.past),
            (Role::KvCache { .. }, Dim::Context) => Some(&self.context),
            _ => None,
        }
    }
}
