//! Attention of one query, or few, per sequence: the cache streams past, cut among the units.

use super::parameter::Parameter;
use super::residency::hit;
use super::{Chip, LATENCY, Mapped, overlapped};

/// Keys that a part of a sequence has at least.
const PART: f64 = 256.0;
/// CTAs per unit that sequences are cut for.
const SLOTS: f64 = 4.0;
/// Loads that wait for each other before the first sum: positions, keys, values (A145).
const TRIPS: f64 = 3.0;
/// Keys whose loads are under way at once.
const TILE: f64 = 64.0;
/// Fraction of the cache's bandwidth that keys and values stream at (A145).
const CACHE: f64 = 0.5;
/// Query rows that one CTA takes at most.
const ROWS: f64 = 64.0;
/// How far a wave counts whole, rather than for what it is filled (A145).
const WHOLE: f64 = 0.5;
/// How far the units' and the DRAM's times overlap.
const OVERLAP: f64 = 2.2;

/// Attention of `batch` sequences to their caches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decode {
    /// Sequences.
    pub batch: f64,
    /// Queries per sequence.
    pub queries: f64,
    /// Keys per sequence.
    pub keys: f64,
    /// Query heads.
    pub heads: f64,
    /// Heads of keys and values.
    pub kv_heads: f64,
    /// Elements of a head.
    pub head_dim: f64,
    /// Bytes per element of queries and results.
    pub element: f64,
    /// Bytes per element of keys and values.
    pub kv_element: f64,
    /// Bytes in use between two launches on the same ones beside the operands; infinite where all are
    /// new each time.
    pub beside: f64,
}

impl Decode {
    /// Of the DRAM's bandwidth; bytes per second that one unit takes; seconds of a CTA with one query
    /// head, and with a group of them that share keys, at 128 elements a head; launch; joining parts.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter::fraction("memory", 0.87, 1.0),
        Parameter::bandwidth("stream", 2e11),
        Parameter::time("block", 1.5e-6),
        Parameter::time("block_of_group", 2.5e-6),
        Parameter::time("launch", 8e-6),
        Parameter::time("join", 3e-6),
    ];

    /// Bytes of queries, results, keys and values.
    pub fn bytes(&self) -> f64 {
        let queries = 2.0 * self.batch * self.queries * self.heads * self.head_dim * self.element;
        let keys = 2.0 * self.batch * self.keys * self.kv_heads * self.head_dim * self.kv_element;
        queries + keys
    }

    /// Sequences are cut into as many parts as fill the units, each of at least 256 keys.
    pub fn map(&self, chip: &Chip, p: &[f64]) -> Mapped {
        let [memory, stream, block, grouped, launch, join] = [p[0], p[1], p[2], p[3], p[4], p[5]];
        let group = self.heads / self.kv_heads;
        let sequences = self.batch * self.kv_heads * (group * self.queries / ROWS).ceil();
        let parts = (self.keys / PART).ceil().max(1.0);
        let cut = (SLOTS * chip.units / sequences).floor().clamp(1.0, parts);
        let each = (parts / cut).ceil();
        let split = (parts / each).ceil();
        let filled = sequences * split / chip.units;
        let waves = if filled < 1.0 { 1.0 } else { filled.ceil() * WHOLE + filled * (1.0 - WHOLE) };
        let own = if group * self.queries > 1.0 { grouped } else { block };
        let own = own * (0.5 + 0.5 * self.head_dim / 128.0);
        let keys = 2.0 * (each * PART).min(self.keys) * self.head_dim * self.kv_element;
        let units = waves * (own + keys / stream);
        let bytes = self.bytes();
        let resident = hit(bytes + self.beside, chip.cache);
        let missed = bytes * (1.0 - resident);
        let dram = missed / (chip.dram * memory);
        let through = chip.cache_bandwidth * CACHE;
        let moved = dram.max(bytes / through);
        let partial = 8.0 * self.batch * self.queries * self.heads * self.head_dim * split;
        let joined = if split > 1.0 { join + partial / through } else { 0.0 };
        let trips = TRIPS * LATENCY * (self.keys.min(TILE) / TILE);
        Mapped {
            seconds: (overlapped(units, moved, OVERLAP) + trips + joined + launch)
                .max(missed / chip.dram),
            tile: (group * self.queries, PART),
            split,
            waves: filled,
            resident,
            units,
            dram,
        }
    }
}
