//! Attention of many queries per sequence: tiles of queries over tiles of keys, softmax on the way.

use super::parameter::Parameter;
use super::residency::hit;
use super::{Attended, Chip, Mapped, overlapped};

/// Keys in a tile.
const KEYS: f64 = 64.0;
/// Special operations per clock of a unit: an exponential for each pair. NVIDIA quotes 16 per clock and
/// unit for compute capabilities 8.0 to 10.0 (CUDA C++ Programming Guide, arithmetic instructions) (A144).
const EXPONENTIALS: f64 = 16.0;
/// Fraction of the cache's bandwidth that queries, keys and results stream at (A144).
const CACHE: f64 = 0.5;
/// What a CTA costs beside its rows: the part of its fixed time that does not grow with them (A144).
const FIXED: f64 = 0.4;
/// Queries and elements of the head that the other part is quoted for.
const ROW_BYTES: f64 = 128.0 * 128.0 * 2.0;
/// How far the units' and the DRAM's times overlap.
const OVERLAP: f64 = 3.5;

/// Attention of sequences whose last positions ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prefill {
    /// What it is over.
    pub over: Attended,
    /// Peak of the matrix engine, operations per second.
    pub peak: f64,
    /// Whether a query sees the keys up to its own position only, or all.
    pub causal: bool,
    /// Fraction of those keys that a window leaves; 1 without one.
    pub share: f64,
    /// Bytes that a kernel before it moves and whose time counts here: the rotation and the write to the
    /// cache, where a stack's launches hold them.
    pub before: f64,
}

impl Prefill {
    /// Of a unit's matrix peak; of the device's, sustained; of the DRAM's bandwidth; seconds that a
    /// CTA of 128 queries and 128 elements takes to begin and end; launch.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter::fraction("compute", 0.8, 1.1),
        Parameter::fraction("sustained", 0.7, 1.0),
        Parameter::fraction("memory", 0.85, 1.0),
        Parameter::time("block", 4e-6),
        Parameter::time("launch", 9e-6),
    ];

    /// Matrix operations: two products over visible pairs.
    pub fn flops(&self) -> f64 {
        let past = self.over.keys - self.over.queries;
        let seen = self.over.queries * past + self.over.queries * (self.over.queries + 1.0) / 2.0;
        let pairs = if self.causal { seen } else { self.over.queries * self.over.keys };
        4.0 * self.over.head_dim * self.over.batch * self.over.heads * pairs * self.share
    }

    /// Every unit takes CTAs of one tile of queries until none is left; the longest ends last.
    pub fn map(&self, chip: &Chip, p: &[f64]) -> Mapped {
        let [compute, sustained, memory, block, launch] = [p[0], p[1], p[2], p[3], p[4]];
        let rows = if chip.cluster > 1.0 { 128.0 } else { 64.0 };
        let rate = self.peak / chip.units * compute;
        let pairs = rows * KEYS;
        let per_tile =
            4.0 * pairs * self.over.head_dim / rate + pairs / (EXPONENTIALS * chip.clock);
        let filled = self.over.queries.min(rows) * self.over.head_dim * self.over.element;
        let block = block * (FIXED + (1.0 - FIXED) * filled / ROW_BYTES);
        let tiles = (self.over.queries / rows).ceil();
        let ctas = self.over.batch * self.over.heads * tiles;
        let (visited, longest) = self.visited(rows, tiles);
        let (visited, longest) = (visited * self.share, longest * self.share);
        let total = (visited * per_tile + tiles * block) * self.over.batch * self.over.heads;
        let last = longest * per_tile + block;
        let waves = (ctas / chip.units).ceil();
        let units = (total / chip.units + last).min(waves * last).max(last);
        let units = if waves <= 1.0 { last } else { units };
        let units = units.max(self.flops() / (self.peak * sustained));
        let bytes = self.over.bytes();
        let resident = hit(bytes + self.over.beside, chip.cache);
        let missed = bytes * (1.0 - resident);
        let dram = missed / (chip.dram * memory);
        let stream = |bytes: f64| {
            let missed = bytes * (1.0 - resident) / (chip.dram * memory);
            missed.max(bytes / (chip.cache_bandwidth * CACHE))
        };
        let floor = (self.flops() / self.peak).max(missed / chip.dram);
        Mapped {
            seconds: (overlapped(units, stream(bytes), OVERLAP) + stream(self.before) + launch)
                .max(floor),
            tile: (rows, KEYS),
            split: 1.0,
            waves: ctas / chip.units,
            resident,
            units,
            dram,
        }
    }

    /// Tiles of keys that all tiles of queries of one head visit together, and the last of them alone:
    /// tile `i` sees `past + min((i + 1) rows, queries)` keys.
    fn visited(&self, rows: f64, tiles: f64) -> (f64, f64) {
        let past = self.over.keys - self.over.queries;
        let last = (self.over.keys / KEYS).ceil();
        if !self.causal {
            return (tiles * last, last);
        }
        let whole = tiles - 1.0;
        // The whole tiles in a line: their ends lie `rows` apart, half a tile of keys is rounded up to.
        let up = |keys: f64| (keys / KEYS).ceil();
        let (first, end) = (up(past + rows.min(self.over.queries)), up(past + whole * rows));
        let sum = if whole > 0.0 { whole * (first + end) / 2.0 } else { 0.0 };
        (sum + last, last)
    }
}
