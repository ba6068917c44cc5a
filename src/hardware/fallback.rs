//! Named guesses for devices without a figure (A4); each one in use is listed in the results.

use crate::provenance::{Basis, Quoted};
use crate::units::{Ratio, Seconds};

const CITATION: &str = "cosim fallback A4: no figure for this device";

/// Of the matrix peak: large GEMMs reach 0.70 to 0.85 on the devices that have a figure.
pub fn matrix() -> Quoted<Ratio> {
    quoted(Ratio::new(0.75))
}

/// Of the vector and special-function peaks.
pub fn vector() -> Quoted<Ratio> {
    quoted(Ratio::new(0.75))
}

/// Of a memory level's bandwidth: weight streaming reaches 0.81 to 0.90 of DRAM bandwidth.
pub fn memory() -> Quoted<Ratio> {
    quoted(Ratio::new(0.80))
}

/// Of a link's bandwidth: collectives reach 0.68 to 0.75 of a switched link's (A67).
pub fn link() -> Quoted<Ratio> {
    quoted(Ratio::new(0.7))
}

/// Per message of an exchange: 0.77 to 1.5 us on the devices that have a figure (A67).
pub fn link_latency() -> Quoted<Seconds> {
    quoted(Seconds::new(1e-6))
}

/// Per kernel: 0.95 to 2.7 us on the devices that have a figure.
pub fn kernel_launch() -> Quoted<Seconds> {
    quoted(Seconds::new(2e-6))
}

fn quoted<T>(value: T) -> Quoted<T> {
    Quoted { value, basis: Basis::Assumed, citation: CITATION.into(), note: None }
}
