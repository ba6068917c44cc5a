//! Keys and values in the blocks of a paged cache (Kwon et al., arXiv 2309.06180).

use super::super::random::Random;
use super::{Attention, Bug};
use crate::formats::Kind;
use crate::validate::{Array, Inputs, Layout, Stored};
use std::borrow::Cow;

/// Which physical block a kernel reads for a block of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    Right,
    TablePlus1,
    TableIgnored,
    TableOfFirst,
    Stale,
}

/// Known bugs of the walk.
pub(super) const WALKS: &[Bug] = &[
    Bug::walks("table-plus-1", "the block table is read one entry too far", Walk::TablePlus1),
    Bug::walks("table-ignored", "blocks are read in their physical order", Walk::TableIgnored),
    Bug::walks(
        "table-of-first",
        "every sequence reads the blocks of the first",
        Walk::TableOfFirst,
    ),
    Bug::walks(
        "stale-block",
        "the last block is read from where the one before it lies",
        Walk::Stale,
    ),
];

/// Columns of the block table: the blocks of a sequence, and one to spare.
const fn columns(keys: u64, block: u64) -> u64 {
    keys.div_ceil(block) + 1
}

impl Attention {
    /// Keys and values moved into blocks in a random order; free places hold other numbers.
    pub(super) fn in_blocks(&self, random: &mut Random, inputs: Inputs) -> Inputs {
        let Some(block) = self.block else { return inputs };
        let columns = columns(self.keys(), block);
        let all: Vec<u64> = (0..self.batch * columns).collect();
        let table = random.distinct(&all, all.len());
        let axes = [("sequence", self.batch), ("block", columns)];
        let says = "physical blocks of each sequence";
        let layout = Layout::new("block_table", says, axes, Stored::Integer(Kind::I32));
        let values = table.iter().map(|&b| b as f64).collect();
        let table = Array { layout, values };
        let moved = |array: Array, random: &mut Random| match array.layout.name.as_str() {
            "k" | "v" => self.moved(array, &table, block, random),
            _ => array,
        };
        let mut arrays: Vec<Array> = inputs.0.into_iter().map(|a| moved(a, random)).collect();
        arrays.push(table);
        Inputs(arrays)
    }

    fn moved(&self, array: Array, table: &Array, block: u64, random: &mut Random) -> Array {
        let dim = array.layout.width() as u64;
        let axes = [
            ("block", table.values.len() as u64),
            ("place", block),
            ("key head", self.kv_heads),
            ("element", dim),
        ];
        let layout = Layout { axes: axes.to_vec(), ..array.layout };
        let mut cache = self.kv.random(random, layout);
        let width = (self.kv_heads * dim) as usize;
        let (keys, block) = (self.keys() as usize, block as usize);
        let columns = table.values.len() / self.batch as usize;
        for (row, values) in array.values.chunks_exact(width).enumerate() {
            let (b, position) = (row / keys, row % keys);
            let physical = table.values[b * columns + position / block] as usize;
            let first = (physical * block + position % block) * width;
            cache.values[first..first + width].copy_from_slice(values);
        }
        cache
    }

    /// Keys and values by position, as a kernel finds them that walks the table in some way.
    pub(super) fn contiguous<'a>(&self, inputs: &'a Inputs, walk: Walk) -> Cow<'a, Inputs> {
        let Some(block) = self.block else { return Cow::Borrowed(inputs) };
        let table = inputs.of("block_table");
        let columns = table.len() / self.batch as usize;
        let last = (self.keys() - 1) / block;
        let physical = |b: usize, column: usize| match walk {
            Walk::Right => table[b * columns + column] as usize,
            Walk::TablePlus1 => table[b * columns + column + 1] as usize,
            Walk::TableIgnored => b * columns + column,
            Walk::TableOfFirst => table[column] as usize,
            Walk::Stale => {
                let column = if column as u64 == last { column.saturating_sub(1) } else { column };
                table[b * columns + column] as usize
            }
        };
        let gathered = |name: &str, dim: u64| {
            let (cache, block) = (inputs.of(name), block as usize);
            let width = (self.kv_heads * dim) as usize;
            let row = |b: usize, position: usize| {
                let first = (physical(b, position / block) * block + position % block) * width;
                cache[first..first + width].to_vec()
            };
            let rows = (0..self.batch as usize)
                .flat_map(|b| (0..self.keys() as usize).map(move |position| (b, position)));
            rows.flat_map(|(b, position)| row(b, position)).collect()
        };
        let (k, v) = (gathered("k", self.head_dim), gathered("v", self.value_dim()));
        Cow::Owned(inputs.with("k", k).with("v", v))
    }
}
