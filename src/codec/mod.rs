//! Numbers as values: the bits of a [`Format`](crate::dtype::Format) or [`Block`](crate::dtype::Block)
//! and the reals that they stand for.
//!
//! [`Float`] and [`Integer`] are codecs of one element, [`Number`] is either; [`slice`](mod@slice) has the
//! fast forms for the formats that tensors are computed in; [`block`] has
//! ggml's elements that share scales, [`Mx`] and [`Nvfp4`] those of the microscaling formats.

pub mod block;
mod float;
mod groups;
mod integer;
mod mx;
mod number;
mod nvfp4;
pub mod slice;

pub use float::{Float, Overflow, Specials};
pub use groups::Groups;
pub use integer::Integer;
pub use mx::{Mx, ScaleMode};
pub use number::Number;
pub use nvfp4::Nvfp4;
