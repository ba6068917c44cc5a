//! Attention of one query, or few, per sequence: the cache streams past, cut among the units.

use super::parameter::Parameter;
use super::residency::hit;
use super::{Attended, Chip, LATENCY, Mapped, overlapped};

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

/// Attention of sequences to their caches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decode {
    /// What it is over.
    pub over: Attended,
    /// Bytes per second at which a unit reads keys and values once for each query head of a group; `None` where
    /// the heads of a group share what is read.
    pub apart: Option<f64>,
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

    /// Bytes per second that a unit takes where query heads do not share what they read (A150).
    pub const APART: &[Parameter] = &[Parameter::bandwidth("rate", 2.5e10)];

    /// Sequences are cut into as many parts as fill the units, each of at least 256 keys.
    pub fn map(&self, chip: &Chip, p: &[f64]) -> Mapped {
        let [memory, stream, block, grouped, launch, join] = [p[0], p[1], p[2], p[3], p[4], p[5]];
        let over = &self.over;
        let group = over.heads / over.kv_heads;
        let sequences = over.batch * over.kv_heads * (group * over.queries / ROWS).ceil();
        let parts = (over.keys / PART).ceil().max(1.0);
        let cut = (SLOTS * chip.units / sequences).floor().clamp(1.0, parts);
        let each = (parts / cut).ceil();
        let split = (parts / each).ceil();
        let filled = sequences * split / chip.units;
        let waves = if filled < 1.0 { 1.0 } else { filled.ceil() * WHOLE + filled * (1.0 - WHOLE) };
        let own = if group * over.queries > 1.0 { grouped } else { block };
        let own = own * (0.5 + 0.5 * over.head_dim / 128.0);
        let keys = 2.0 * (each * PART).min(over.keys) * over.head_dim * over.kv_element;
        let units = waves * (own + keys / stream);
        let bytes = over.bytes();
        let resident = hit(bytes + over.beside, chip.cache);
        let missed = bytes * (1.0 - resident);
        let dram = missed / (chip.dram * memory);
        let through = chip.cache_bandwidth * CACHE;
        let again = |rate: f64| group * over.kv_bytes() / (chip.units * rate);
        let moved = dram.max(bytes / through).max(self.apart.map_or(0.0, again));
        let partial = 8.0 * over.batch * over.queries * over.heads * over.head_dim * split;
        let joined = if split > 1.0 { join + partial / through } else { 0.0 };
        let trips = TRIPS * LATENCY * (over.keys.min(TILE) / TILE);
        Mapped {
            seconds: (overlapped(units, moved, OVERLAP) + trips + joined + launch)
                .max(missed / chip.dram),
            tile: (group * over.queries, PART),
            split,
            waves: filled,
            resident,
            units,
            dram,
        }
    }
}
