//! Sharing changes no sequence, leaks no block and frees none twice.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Physical memory that follows the tables' instructions, beside plain unshared copies.
struct Model {
    tables: Tables,
    memory: Vec<Vec<u64>>,
    plain: BTreeMap<u64, Vec<u64>>,
    written: u64,
}

impl Model {
    fn new(blocks: u32, block_size: u64) -> Self {
        let size = NonZeroU64::new(block_size).expect("above zero");
        let memory = vec![vec![0; block_size as usize]; blocks as usize];
        Self { tables: Tables::new(blocks, size), memory, plain: BTreeMap::new(), written: 0 }
    }

    fn append(&mut self, id: u64) {
        let Ok(slot) = self.tables.append(id) else { return };
        self.written += 1;
        if let Some(from) = slot.copied_from {
            let copied = self.memory[from as usize][..slot.offset as usize].to_vec();
            self.memory[slot.block as usize][..slot.offset as usize].copy_from_slice(&copied);
        }
        self.memory[slot.block as usize][slot.offset as usize] = self.written;
        self.plain.get_mut(&id).expect("known").push(self.written);
    }

    fn step(&mut self, action: u8, a: u64, b: u64) {
        let known = self.plain.contains_key(&a);
        match action {
            0 => {
                if self.tables.create(a).is_ok() {
                    self.plain.insert(a, vec![]);
                }
            }
            1 => {
                if self.tables.fork(a, b).is_ok() {
                    self.plain.insert(b, self.plain[&a].clone());
                }
            }
            2 => {
                if let Ok(shared) = self.tables.share_prefix(a, b, 7) {
                    self.plain.insert(b, self.plain[&a][..shared as usize].to_vec());
                }
            }
            3 => {
                assert_eq!(self.tables.prune(a).is_ok(), known);
                self.plain.remove(&a);
            }
            _ if known => self.append(a),
            _ => assert_eq!(self.tables.append(a), Err(AllocError::Unknown(a))),
        }
    }

    fn check(&self) {
        let size = self.tables.block_size();
        let mut holders = vec![0; self.memory.len()];
        for (id, plain) in &self.plain {
            let table = self.tables.table(*id).expect("known");
            table.iter().for_each(|&b| holders[b as usize] += 1);
            let read = |i: usize| self.memory[table[i / size as usize] as usize][i % size as usize];
            let contents: Vec<u64> = (0..plain.len()).map(read).collect();
            assert_eq!(&contents, plain, "sequence {id}");
            assert_eq!(table.len() as u64, (plain.len() as u64).div_ceil(size));
        }
        let blocks = self.tables.blocks();
        for (block, &held) in holders.iter().enumerate() {
            assert_eq!(blocks.holders(block as BlockId), held, "block {block}");
        }
        let held = holders.iter().filter(|&&h| h > 0).count() as u64;
        assert_eq!(held + blocks.free(), blocks.count());
        let free: BTreeSet<_> = blocks.free_list().iter().collect();
        assert_eq!(free.len() as u64, blocks.free(), "a block is free twice");
    }
}

proptest! {
    #[test]
    fn shared_sequences_read_as_unshared_ones_and_no_block_leaks(
        block_size in 1..6u64,
        blocks in 1..40u32,
        steps in prop::collection::vec((0..12u8, 0..6u64, 0..6u64), 1..200),
    ) {
        let mut model = Model::new(blocks, block_size);
        for (action, a, b) in steps {
            model.step(action, a, b);
            model.check();
        }
        for id in model.plain.keys().copied().collect::<Vec<_>>() {
            model.step(3, id, 0);
        }
        prop_assert_eq!(model.tables.blocks().free(), u64::from(blocks));
    }
}
