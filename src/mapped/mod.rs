//! How long kernels take on a chip: tiles, splits, waves and residency, chosen as good kernels choose.
//!
//! One file per kind of kernel. Each says what a launch demands (its shape), which few physical
//! parameters a software stack is described by, and finds the fastest mapping of the shape onto the
//! units, the cache and the DRAM of a [`Chip`]. docs/COST-MODEL.md has the equations.
//!
//! No time lies below the floor of the device: operations over the quoted peak, bytes that miss the
//! cache over the DRAM's bandwidth, all bytes over the cache's where that is known.

mod attended;
pub mod calibration;
mod chip;
mod collective;
mod decode;
mod exchange;
mod grouped;
mod host;
mod kind;
#[cfg(test)]
mod laws;
mod lever;
mod matmul;
mod parameter;
mod prefill;
mod residency;
mod shape;
mod stream;
mod unfused;
mod whole;

pub use attended::Attended;
pub use chip::{Chip, NotMapped};
pub use collective::AllReduce;
pub use decode::Decode;
pub use exchange::Exchange;
pub use grouped::Grouped;
pub use host::Host;
pub use kind::Kind;
pub use lever::{Lever, gains};
pub use matmul::{Matmul, Operand};
pub use parameter::{Parameter, Unit};
pub use prefill::Prefill;
pub use residency::hit;
pub use shape::Shape;
pub use stream::Stream;
pub use unfused::Unfused;
pub use whole::Whole;

/// Seconds from asking for operands to having them, under load: about twice the 320 to 390 ns that
/// idle DRAM of A40, A100 and H100 takes (their profiles) (A143).
const LATENCY: f64 = 600e-9;

/// How a launch goes: its time, and the choices that explain it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mapped {
    /// Seconds, the launch included.
    pub seconds: f64,
    /// Rows and columns of the tile of one CTA; zero where there is none.
    pub tile: (f64, f64),
    /// CTAs that share one sum, or one sequence of keys.
    pub split: f64,
    /// CTAs over units: how often all units are filled.
    pub waves: f64,
    /// Fraction of the bytes that the cache holds already.
    pub resident: f64,
    /// Seconds of the units.
    pub units: f64,
    /// Seconds of the DRAM.
    pub dram: f64,
}

/// Fraction of the longer time that a shorter one adds nothing to that a double would show, at any exponent in use.
const NEGLIGIBLE: f64 = 1e-11;

/// Times that overlap, but not wholly: the `p`-norm of both, between their largest and their sum.
pub(crate) fn overlapped(a: f64, b: f64, p: f64) -> f64 {
    let (long, short) = if a > b { (a, b) } else { (b, a) };
    if short <= long * NEGLIGIBLE {
        long
    } else {
        long * (1.0 + (short / long).powf(p)).powf(1.0 / p)
    }
}
