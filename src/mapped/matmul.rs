//! Products of matrices: tile, split of the sum, waves, residency.

use super::parameter::Parameter;
use super::residency::hit;
use super::{Chip, LATENCY, Mapped, overlapped};

/// Rows and columns of the tiles that kernel libraries offer, largest first.
const TILES: &[(f64, f64)] = &[
    (256.0, 256.0),
    (256.0, 128.0),
    (128.0, 256.0),
    (128.0, 192.0),
    (192.0, 128.0),
    (256.0, 64.0),
    (64.0, 256.0),
    (128.0, 128.0),
    (128.0, 64.0),
    (64.0, 128.0),
    (64.0, 64.0),
    (32.0, 128.0),
    (16.0, 128.0),
    (16.0, 64.0),
];
/// Parts that the sum of one tile is split into.
const SPLITS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0];
/// Elements of the sum that a step of a tile's loop takes.
const STEP: f64 = 64.0;
/// Steps whose operands are under way at once, at most.
const STAGES: f64 = 6.0;
/// Elements of the sums of one tile that a unit's registers hold; a cluster of two holds twice as many.
const ACCUMULATORS: f64 = 32_768.0;
/// How far the units' and the DRAM's times overlap.
const OVERLAP: f64 = 3.5;

/// One operand's storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operand {
    /// Bytes per element.
    pub bytes: f64,
    /// Bytes in use between two uses of it; infinite where it comes from DRAM each time.
    pub set: f64,
}

/// `groups` products `[m, k] x [k, n]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matmul {
    /// Independent products.
    pub groups: f64,
    /// Rows: tokens.
    pub m: f64,
    /// Columns of the weights.
    pub n: f64,
    /// Length of the sum.
    pub k: f64,
    /// Activations.
    pub a: Operand,
    /// Weights.
    pub b: Operand,
    /// Bytes per element of the result.
    pub out: f64,
    /// Peak of the matrix engine, operations per second.
    pub peak: f64,
}

impl Matmul {
    /// Of a unit's matrix peak; of the device's, sustained; of the DRAM's bandwidth; of the cache's,
    /// operands come as fast; launch.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter::fraction("compute", 0.85, 1.1),
        Parameter::fraction("sustained", 0.8, 1.0),
        Parameter::fraction("memory", 0.82, 1.0),
        Parameter::fraction("cache", 0.8, 2.5),
        Parameter::time("launch", 3.5e-6),
    ];

    /// Bytes of activations, weights and results.
    pub fn total_bytes(&self) -> f64 {
        self.bytes().iter().sum()
    }

    fn bytes(&self) -> [f64; 3] {
        let Self { groups, m, n, k, .. } = *self;
        [m * k * self.a.bytes, n * k * self.b.bytes, m * n * self.out].map(|bytes| groups * bytes)
    }

    /// Matrix operations.
    pub fn flops(&self) -> f64 {
        2.0 * self.groups * self.m * self.n * self.k
    }

    /// The fastest of all tiles and splits.
    pub fn map(&self, chip: &Chip, p: &[f64]) -> Mapped {
        let [compute, sustained, memory, cache, launch] = [p[0], p[1], p[2], p[3], p[4]];
        let [a, b, out] = self.bytes();
        let (miss_a, miss_b) =
            (1.0 - hit(self.a.set, chip.cache), 1.0 - hit(self.b.set, chip.cache));
        let missed = (a + out) * miss_a + b * miss_b;
        let dram = missed / (chip.dram * memory);
        let unit = Unit {
            rate: self.peak / chip.units * compute,
            feed: chip.cache_bandwidth / chip.units * cache,
        };
        // Bytes of DRAM are the same for all: the fastest is the one whose units are done first.
        let mut best = Mapped { units: f64::INFINITY, ..Mapped::default() };
        for &tile in TILES.iter().filter(|tile| self.fits(chip, **tile)) {
            let tiles = self.groups * (self.m / tile.0).ceil() * (self.n / tile.1).ceil();
            let padded = 2.0 * tiles * tile.0 * tile.1 * self.k;
            // Long products run at the clock that the device's power allows (A148).
            let throttled = padded / (self.peak * sustained);
            if throttled >= best.units {
                continue;
            }
            let step = self.step(chip, &unit, tile);
            for &split in SPLITS {
                let Some((waves, units)) = self.units(chip, &unit, (tile, tiles), split, step)
                else {
                    break;
                };
                let units = units.max(throttled);
                if units < best.units {
                    best = Mapped { tile, split, waves, units, ..best };
                }
            }
        }
        let seconds = overlapped(best.units, dram, OVERLAP);
        let floor = (self.flops() / self.peak).max(missed / chip.dram);
        let floor =
            if chip.cache_known { floor.max((a + b + out) / chip.cache_bandwidth) } else { floor };
        Mapped {
            seconds: (seconds + launch).max(floor),
            resident: 1.0 - missed / (a + b + out),
            dram,
            ..best
        }
    }

    /// Whether a tile is not mostly padding, its sums fit the registers, and two steps of it fit the
    /// software-managed memory. The smallest tile is always there.
    fn fits(&self, chip: &Chip, (rows, columns): (f64, f64)) -> bool {
        if TILES.last() == Some(&(rows, columns)) {
            return true;
        }
        let padding = (rows > 16.0 && rows >= 2.0 * self.m) || columns >= 2.0 * self.n;
        let sums = rows * columns <= ACCUMULATORS * chip.cluster.min(2.0);
        !padding && sums && self.stages(chip, (rows, columns)) >= 2.0
    }

    /// Bytes of the operands of one step.
    fn operands(&self, (rows, columns): (f64, f64)) -> f64 {
        (rows * self.a.bytes + columns * self.b.bytes) * STEP
    }

    fn stages(&self, chip: &Chip, tile: (f64, f64)) -> f64 {
        (chip.shared / self.operands(tile)).floor().clamp(1.0, STAGES)
    }

    /// Seconds of one step of a tile: multiplying, or what it is fed, or waiting for it.
    fn step(&self, chip: &Chip, unit: &Unit, tile: (f64, f64)) -> f64 {
        let (a, b) = (tile.0 * self.a.bytes * STEP, tile.1 * self.b.bytes * STEP);
        // A pair of units that multicasts loads one of the operands once for both.
        let shared = if chip.cluster > 1.0 { (a + b / 2.0).min(a / 2.0 + b) } else { a + b };
        let multiply = 2.0 * tile.0 * tile.1 * STEP / unit.rate;
        multiply.max(shared / unit.feed).max(LATENCY / self.stages(chip, tile))
    }

    /// Waves and seconds of the units; `None` where the split leaves a part too little to do, or more
    /// CTAs than are worth it.
    fn units(
        &self,
        chip: &Chip,
        unit: &Unit,
        (tile, tiles): ((f64, f64), f64),
        split: f64,
        step: f64,
    ) -> Option<(f64, f64)> {
        let steps = (self.k / STEP).ceil();
        if split > 1.0 && (steps < 2.0 * split || tiles * split > 4.0 * chip.units) {
            return None;
        }
        let waves = (tiles * split / chip.units).ceil();
        let write = waves * tile.0 * tile.1 * self.out.max(2.0) / unit.feed;
        let mut seconds = waves * step * (steps / split).ceil() + LATENCY / 2.0 + write;
        if split > 1.0 {
            let parts = self.groups * self.m * self.n * 4.0 * 2.0 * split;
            seconds += parts / (unit.feed * chip.units.min(tiles)) + LATENCY;
        }
        Some((waves, seconds))
    }
}

/// What one unit does in a second.
struct Unit {
    /// Matrix operations.
    rate: f64,
    /// Bytes that the cache hands it.
    feed: f64,
}
