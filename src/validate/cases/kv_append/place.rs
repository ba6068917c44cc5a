//! Where a kernel writes a token's heads, rightly and wrongly.

use super::{CacheLayout, KvAppendCase};
use crate::validate::Inputs;

/// Row of the cache that token `t` of sequence `b` goes to, or nowhere.
pub(super) type Place = fn(&KvAppendCase, &Inputs, usize, usize) -> Option<usize>;

/// A known bug: its name, what is wrong, where tokens go.
pub(super) type PlaceBug = (&'static str, &'static str, Place);

/// The row of a position of a sequence, by the block table or in the sequence's own rows.
pub(super) fn row(case: &KvAppendCase, inputs: &Inputs, b: usize, position: usize) -> usize {
    let (block, columns) = (case.block as usize, case.blocks() as usize);
    let column = (position / block).min(columns - 1);
    match case.cache {
        CacheLayout::Contiguous => b * columns * block + position.min(columns * block - 1),
        _ => inputs.of("block_table")[b * columns + column] as usize * block + position % block,
    }
}

/// The row that a slot names; none for padding.
fn slot(case: &KvAppendCase, inputs: &Inputs, b: usize, t: usize) -> Option<usize> {
    let slot = inputs.of("slot_mapping")[b * case.seq as usize + t];
    (slot >= 0.0).then_some(slot as usize)
}

/// The right one.
pub(super) fn right(case: &KvAppendCase, inputs: &Inputs, b: usize, t: usize) -> Option<usize> {
    match case.cache {
        CacheLayout::Slots => slot(case, inputs, b, t),
        _ => Some(row(case, inputs, b, case.past_of(b) + t)),
    }
}

/// Known bugs of positions: of caches behind a table and of contiguous ones.
const POSITIONS: &[PlaceBug] = &[
    ("slot-plus-1", "tokens are written one place too late", |c, i, b, t| {
        Some(row(c, i, b, c.past_of(b) + t + 1))
    }),
    ("slot-minus-1", "tokens are written one place too early", |c, i, b, t| {
        Some(row(c, i, b, (c.past_of(b) + t).saturating_sub(1)))
    }),
    ("past-missing", "positions start at 0: the past is overwritten", |c, i, b, t| {
        Some(row(c, i, b, t))
    }),
    ("past-of-first", "every sequence has the past of the first", |c, i, b, t| {
        Some(row(c, i, b, c.past_of(0) + t))
    }),
    ("rows-of-first", "every sequence is written to the cache of the first", |c, i, b, t| {
        Some(row(c, i, 0, c.past_of(b) + t))
    }),
];

/// Those of the table.
const TABLES: &[PlaceBug] = &[
    ("table-plus-1", "the block table is read one entry too far", |c, i, b, t| {
        let at = c.past_of(b) + t;
        let block = c.block as usize;
        Some(row(c, i, b, at + block) / block * block + at % block)
    }),
    ("table-ignored", "blocks are taken in their physical order", |c, _, b, t| {
        Some(b * (c.blocks() * c.block) as usize + c.past_of(b) + t)
    }),
    ("stale-block", "the last block is not written: it stays as it was", |c, i, b, t| {
        let block_of = |t: usize| (c.past_of(b) + t) / c.block as usize;
        right(c, i, b, t).filter(|_| block_of(t) != block_of(c.seq as usize - 1))
    }),
    ("block-size-double", "blocks are taken to be twice as large", |c, i, b, t| {
        Some(mistaken(c, i, (b, c.past_of(b) + t), 2 * c.block as usize))
    }),
    ("block-size-half", "blocks are taken to be half as large", |c, i, b, t| {
        Some(mistaken(c, i, (b, c.past_of(b) + t), (c.block as usize / 2).max(1)))
    }),
];

/// The row where blocks are taken to have another size than they have.
fn mistaken(
    case: &KvAppendCase,
    inputs: &Inputs,
    (b, position): (usize, usize),
    size: usize,
) -> usize {
    let columns = case.blocks() as usize;
    let column = (position / size).min(columns - 1);
    let first = inputs.of("block_table")[b * columns + column] as usize * case.block as usize;
    (first + position % size).min(case.rows() - 1)
}

/// Those of the slot mapping.
const SLOTS: &[PlaceBug] = &[
    ("slot-plus-1", "tokens are written one place too late", |c, i, b, t| {
        slot(c, i, b, t).map(|slot| (slot + 1).min(c.rows() - 1))
    }),
    ("slot-minus-1", "tokens are written one place too early", |c, i, b, t| {
        slot(c, i, b, t).map(|slot| slot.saturating_sub(1))
    }),
    ("slot-of-token-before", "a token is written to the slot of the one before", |c, i, b, t| {
        let at = (b * c.seq as usize + t).saturating_sub(1);
        slot(c, i, at / c.seq as usize, at % c.seq as usize)
    }),
    ("stale-slot", "the last token is not written: its slot stays as it was", |c, i, b, t| {
        slot(c, i, b, t).filter(|_| t + 1 < c.seq as usize)
    }),
    (
        "padding-to-last",
        "padding is written to the last slot, as -1 counts from the end",
        |c, i, b, t| slot(c, i, b, t).or(Some(c.rows() - 1)),
    ),
    ("padding-to-first", "padding is written to slot 0", |c, i, b, t| slot(c, i, b, t).or(Some(0))),
    ("block-size-double", "blocks are taken to be twice as large", |c, i, b, t| {
        slot(c, i, b, t).map(|slot| resized(c, slot, 2 * c.block as usize))
    }),
    ("block-size-half", "blocks are taken to be half as large", |c, i, b, t| {
        slot(c, i, b, t).map(|slot| resized(c, slot, (c.block as usize / 2).max(1)))
    }),
];

/// The row of a slot that is cut into block and place by another size than the cache has.
fn resized(case: &KvAppendCase, slot: usize, size: usize) -> usize {
    (slot / size * case.block as usize + slot % size).min(case.rows() - 1)
}

/// The bugs of a case's cache.
pub(super) fn bugs(cache: CacheLayout) -> impl Iterator<Item = &'static PlaceBug> {
    let (first, second): (&[PlaceBug], &[PlaceBug]) = match cache {
        CacheLayout::Table => (POSITIONS, TABLES),
        CacheLayout::Slots => (SLOTS, &[]),
        CacheLayout::Contiguous => (POSITIONS, &[]),
    };
    first.iter().chain(second)
}
