//! Quantities: each a newtype over an SI `f64`; only meaningful arithmetic compiles.
//!
//! `Bytes / BytesPerSecond` is `Seconds`; `Bytes + Seconds` does not compile. Text carries units:
//! `"3.35 TB/s".parse::<BytesPerSecond>()`; decimal (k, M, G, T, P) and binary (Ki, Mi, Gi, Ti)
//! prefixes are both legal and never implied.

mod display;
mod parse;
mod quantity;

pub use display::three_digits;
pub use parse::{Dimension, ParseQuantityError};
pub use quantity::Quantity;
pub use quantity::{
    Bytes, BytesPerSecond, Dollars, DollarsPerHour, Flops, FlopsPerByte, FlopsPerSecond, Hertz,
    Joules, Ratio, Seconds, Watts,
};
