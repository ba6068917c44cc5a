//! Kernels of a plan mapped onto units, caches and DRAM: their times in the place of the roofline's.
//!
//! A kernel is told by its nodes' patterns, never by its operators: products, attention, an all-reduce over the
//! scale-up link, or a stream of its bytes. Other exchanges keep the roofline's time, which is said.

mod binding;
mod memo;
mod parts;
mod silicon;
mod timed;

pub use memo::Lookups;
pub use silicon::Silicon;
pub use timed::MappedPart;

pub(super) use binding::Binding;
pub(super) use timed::Timed;
