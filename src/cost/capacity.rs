//! Whether a request fits the device's memory, and what would make it fit.

use super::estimator::Estimator;
use super::memory::Memory;
use super::request::Request;
use crate::dtype::Scheme;
use crate::tensor::Sharing;
use crate::units::Bytes;
use serde::Serialize;

/// Memory against capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// DRAM of the device.
    pub capacity: Bytes,
    /// Whether the request's memory is at most the capacity.
    pub fits: bool,
    /// What the device may hold, where the memory lies between the decimal figure that is known and
    /// its binary reading (A52).
    pub uncertain_up_to: Option<Bytes>,
    /// Largest batch of the same request that fits; 0 when not even one sequence does.
    pub max_batch: u64,
}

/// What would make a request fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remedy {
    /// Bytes too many.
    pub excess_bytes: Bytes,
    /// Largest batch that fits; `None` when no batch does.
    pub largest_batch: Option<u64>,
    /// Fewest such devices that hold the memory when weights, cache and activations are split
    /// evenly.
    pub fewest_devices: u64,
    /// The scheme with the most bits per weight among the common ones that fits.
    pub smaller_format: Option<String>,
}

/// Schemes tried for a remedy, most bits first.
const LADDER: &[&str] = &["16bit", "w8a16", "w8a16-kv8", "w4a16-g128", "w4a16-g128-kv8"];

impl Estimator<'_> {
    /// Compares a request's memory with the device's.
    pub fn capacity(&self, request: &Request, memory: &Memory) -> Capacity {
        let capacity = self.machine.capacity;
        let parallel = &self.plan.parallel;
        let placement = &self.plan.placement;
        let sharing = placement.layout.shared().map_or(Sharing::NONE, |(sharing, _)| sharing);
        let held = parallel.replica_batch(request.batch());
        // Sequences that the batch is a multiple of: where the last request lacks some, single ones,
        // each with its share of the whole.
        let unit = sharing.sequences.get();
        let unit = if held.is_multiple_of(unit) { unit } else { 1 };
        let common = if placement.offload.kv { Bytes::ZERO } else { memory.kv_common };
        let per_unit = (memory.kv - common + memory.activations) / (held / unit) as f64;
        let room = (capacity - memory.weights - common).get();
        // Cache and activations are proportional to the requests, so the largest batch is a quotient.
        let of_replica = if room > 0.0 { (room / per_unit.get()).floor() as u64 } else { 0 };
        let of_replica = of_replica.saturating_mul(unit);
        let max_batch = of_replica * parallel.data;
        let fits = memory.total() <= capacity;
        let most = self.machine.capacity_most;
        let uncertain_up_to = most.filter(|most| !fits && memory.total() <= *most);
        Capacity { capacity, fits, uncertain_up_to, max_batch }
    }
}

impl Capacity {
    /// What would help; `None` where it fits. `memory_with` gives the request's memory under
    /// another scheme.
    pub fn remedy(
        &self,
        memory: &Memory,
        scheme: &Scheme,
        memory_with: impl Fn(&Scheme) -> Memory,
    ) -> Option<Remedy> {
        if self.fits {
            return None;
        }
        let total = memory.total();
        let ladder = LADDER.iter().filter_map(|name| name.parse::<Scheme>().ok());
        let smaller = ladder.filter(|s| s.name() != scheme.name()).find(|s| {
            let other = memory_with(s).total();
            other < total && other <= self.capacity
        });
        Some(Remedy {
            excess_bytes: total - self.capacity,
            largest_batch: (self.max_batch > 0).then_some(self.max_batch),
            fewest_devices: (total / self.capacity).ceil() as u64,
            smaller_format: smaller.map(|s| s.name().to_owned()),
        })
    }
}
