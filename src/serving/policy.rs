//! A saturated server under each KV layout.

use super::allocator::{AllocError, Allocator};
use super::contiguous::Contiguous;
use super::lengths::Lengths;
use super::paged::Paged;
use super::simulation::{Load, Outcome, simulate};
use crate::tensor::KvLayout;
use crate::units::Seconds;

/// Fraction of the blocks that admissions leave free for running requests, as vLLM does.
const WATERMARK: f64 = 0.01;
/// Fewest completions before the measurement, and in it.
const WARM_UP: u64 = 200;
const MEASURED: u64 = 1000;
/// Completions of each per request that runs at once: the first to end are the short ones.
const ROUNDS: f64 = 3.0;

/// An allocator of a layout over a pool of `slots`, for sequences of at most `longest` tokens.
pub fn allocator(layout: &KvLayout, slots: u64, longest: u64) -> Box<dyn Allocator> {
    match *layout {
        KvLayout::Contiguous { reserve, .. } => Box::new(Contiguous::new(slots, reserve, longest)),
        KvLayout::Paged { block, .. } => Box::new(Paged::new(slots, block, WATERMARK)),
    }
}

/// Runs a server that always has requests waiting; steps take the same time, so that means over
/// time are means over steps.
///
/// # Errors
/// A sequence that the pool can never hold.
pub fn saturated(
    layout: &KvLayout,
    slots: u64,
    lengths: Lengths,
    seed: u64,
) -> Result<Outcome, AllocError> {
    // Four times what the pool can serve.
    let served = slots as f64 / (lengths.prompt + lengths.output) / lengths.output;
    let rounds = (ROUNDS * slots as f64 / (lengths.prompt + lengths.output)) as u64;
    let (warm_up, measured) = (WARM_UP.max(rounds), MEASURED.max(rounds));
    let load = Load { rate: 10.0 + 4.0 * served, lengths, warm_up, measured, seed };
    let mut allocator = allocator(layout, slots, lengths.longest);
    simulate(allocator.as_mut(), &load, &|_| Seconds::new(1.0))
}
