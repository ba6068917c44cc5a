//! One kernel's demand in one step, and the seconds that each resource needs for it.

use super::bound::Times;
use std::ops::{Add, Mul};

/// Operations, bytes and times of one launch of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct KernelCost {
    /// Matrix, vector and special operations of the operators.
    pub operations: [f64; 3],
    /// Vector operations for conversions between storage and compute formats.
    pub conversions: f64,
    /// Bytes that pass every memory level (A1).
    pub bytes: f64,
    /// Bytes exchanged with other devices.
    pub exchanged: f64,
    /// Bytes that pass the host link.
    pub hosted: f64,
    /// Seconds per resource, indexed by [`super::Resource`].
    pub times: Times,
}

impl KernelCost {
    /// The longest of the resource times: all overlap (A2).
    pub fn longest(&self) -> f64 {
        self.times.iter().copied().fold(0.0, f64::max)
    }

    /// All operations of the operators: matrix, vector and special.
    pub fn flops(&self) -> f64 {
        self.operations.iter().sum()
    }
}

impl Add for KernelCost {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self {
            operations: std::array::from_fn(|i| self.operations[i] + o.operations[i]),
            conversions: self.conversions + o.conversions,
            bytes: self.bytes + o.bytes,
            exchanged: self.exchanged + o.exchanged,
            hosted: self.hosted + o.hosted,
            times: std::array::from_fn(|i| self.times[i] + o.times[i]),
        }
    }
}

impl Mul<f64> for KernelCost {
    type Output = Self;
    fn mul(self, k: f64) -> Self {
        Self {
            operations: self.operations.map(|v| v * k),
            conversions: self.conversions * k,
            bytes: self.bytes * k,
            exchanged: self.exchanged * k,
            hosted: self.hosted * k,
            times: self.times.map(|v| v * k),
        }
    }
}
