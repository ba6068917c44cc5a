//! KV cache management: allocators, sharing, and a seeded simulation of a server that uses them.
//!
//! Memory is counted in token slots: one slot holds the keys and values of one token in every
//! layer. [`Usage`] says what each slot of the pool is spent on; its four parts add up to the pool
//! for every allocator, at any moment.

mod allocator;
mod blocks;
mod buddy;
mod contiguous;
mod groups;
mod lengths;
mod paged;
mod policy;
mod simulation;
mod tables;
mod usage;

pub use crate::tensor::Reserve;
pub use allocator::{AllocError, Allocator, Demand};
pub use blocks::{BlockId, Blocks};
pub use buddy::Buddy;
pub use contiguous::Contiguous;
pub use groups::{Decoding, Group, saving};
pub use lengths::Lengths;
pub use paged::Paged;
pub use policy::{allocator, saturated};
pub use simulation::{Batch, Load, Outcome, simulate};
pub use tables::{Slot, Tables};
pub use usage::Usage;
