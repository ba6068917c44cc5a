//! Products of experts: a layer of two grouped products with an activation between them.

use super::parameter::Parameter;
use super::{Chip, Mapped, Matmul};

/// The two grouped products of a mixture of experts, and what is moved beside them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grouped {
    /// Into the experts' inner width, gates included.
    pub up: Matmul,
    /// Back.
    pub down: Matmul,
    /// Bytes that are moved beside the products: tokens dealt to experts, activations, tokens joined.
    pub beside: f64,
}

/// Fraction of the cache's bandwidth that bytes beside the products stream at (A144).
const CACHE: f64 = 0.5;

impl Grouped {
    /// As of products; the launch holds half of what a layer takes beside them.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter::fraction("compute", 0.7, 1.1),
        Parameter::fraction("sustained", 0.8, 1.0),
        Parameter::fraction("memory", 0.75, 1.0),
        Parameter::fraction("cache", 0.8, 2.5),
        Parameter::time("launch", 1e-5),
    ];

    /// One product behind the other, and the bytes beside them from the cache.
    pub fn map(&self, chip: &Chip, p: &[f64]) -> Mapped {
        let (up, down) = (self.up.map(chip, p), self.down.map(chip, p));
        let beside = self.beside / (chip.cache_bandwidth * CACHE);
        Mapped {
            seconds: up.seconds + down.seconds + beside,
            units: up.units + down.units,
            dram: up.dram + down.dram,
            ..up
        }
    }
}
