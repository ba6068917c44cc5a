//! Kernels that are not told apart: operations and bytes of a whole step at the rates that it reaches.

use super::parameter::Parameter;
use super::{Chip, Mapped};

/// A kernel of a step that was only timed as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whole {
    /// Matrix operations.
    pub flops: f64,
    /// Their peak, operations per second.
    pub peak: f64,
    /// Bytes.
    pub bytes: f64,
}

impl Whole {
    /// Of the matrix peak; of the DRAM's bandwidth.
    pub const PARAMETERS: &[Parameter] =
        &[Parameter::fraction("compute", 0.7, 1.1), Parameter::fraction("memory", 0.8, 1.0)];

    /// `max(flops / (peak x compute), bytes / (DRAM x memory))`, no faster than the peak.
    pub fn map(&self, chip: &Chip, p: &[f64]) -> Mapped {
        let [compute, memory] = [p[0], p[1]];
        let units = self.flops / (self.peak * compute);
        let dram = self.bytes / (chip.dram * memory);
        let floor = self.flops / self.peak;
        Mapped { seconds: units.max(dram).max(floor), units, dram, ..Mapped::default() }
    }
}
