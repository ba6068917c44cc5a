//! Numbers as values: the bits of a [`Format`](crate::dtype::Format) or [`Block`](crate::dtype::Block)
//! and the reals that they stand for.
//!
//! [`Float`] and [`Integer`] are codecs of one element, [`Number`] is either; [`slice`](mod@slice) has the
//! fast forms for the formats that tensors are computed in; [`block`] has elements that share scales.

pub mod block;
mod float;
mod integer;
mod number;
pub mod slice;

pub use float::{Float, Overflow, Specials};
pub use integer::Integer;
pub use number::Number;
