//! Kernels that read and write every element once: norms, activations, rotations, quantization.

use super::parameter::Parameter;
use super::residency::hit;
use super::{Chip, Mapped, overlapped};

/// How little the times of the launch's start and of its bytes overlap.
const OVERLAP: f64 = 1.5;

/// A launch that moves bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stream {
    /// Bytes read and written.
    pub bytes: f64,
    /// Bytes in use between two launches on the same ones; infinite where they are new each time.
    pub set: f64,
}

impl Stream {
    /// Launch; fraction of the DRAM's bandwidth; fraction of the cache's.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter::time("launch", 2e-6),
        Parameter::fraction("memory", 0.8, 1.0),
        Parameter::fraction("cache", 0.4, 1.0),
    ];

    /// `launch (+) max(missed / (DRAM x memory), bytes / (cache bandwidth x cache))`.
    pub fn map(&self, chip: &Chip, p: &[f64]) -> Mapped {
        let [launch, memory, cache] = [p[0], p[1], p[2]];
        let resident = hit(self.set, chip.cache);
        let missed = self.bytes * (1.0 - resident);
        let dram = missed / (chip.dram * memory);
        let moved = dram.max(self.bytes / (chip.cache_bandwidth * cache));
        let floor = missed / chip.dram;
        Mapped {
            seconds: overlapped(launch, moved, OVERLAP).max(floor),
            resident,
            dram,
            ..Mapped::default()
        }
    }
}
