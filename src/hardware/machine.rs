//! The flat machine that the cost model reads: numbers and ids, compiled once per profile.

use super::raw::Scope;
use super::topology::{Offered, Topology};
use crate::dtype::Format;
use crate::provenance::Basis;
use crate::units::{
    Bytes, BytesPerSecond, DollarsPerHour, FlopsPerByte, FlopsPerSecond, Hertz, Joules, Ratio,
    Seconds, Watts,
};
use smallvec::SmallVec;
use std::sync::Arc;

/// Whether efficiencies and overheads count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fidelity {
    /// Efficiencies and overheads as quoted, or named fallbacks.
    #[default]
    Realistic,
    /// Every efficiency 1, every overhead 0.
    Ideal,
}

/// Index into [`Machine::origins`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct OriginId(pub u32);

/// Where an input of the machine comes from.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Origin {
    /// Dotted path in the profile, or `fallback.<name>`.
    pub path: String,
    /// How it is known.
    pub basis: Basis,
    /// Who says so.
    pub citation: Arc<str>,
    /// A caveat.
    pub note: Option<Arc<str>>,
}

/// A number with its basis and origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known<T> {
    /// The number.
    pub value: T,
    /// How it is known.
    pub basis: Basis,
    /// Where it comes from.
    pub origin: OriginId,
}

/// A compute rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The quoted peak.
    pub peak: FlopsPerSecond,
    /// The fraction of it that good kernels reach.
    pub efficiency: Ratio,
    /// The weaker of both.
    pub basis: Basis,
    /// Where the weaker of both comes from.
    pub origin: OriginId,
}

impl Rate {
    /// `peak * efficiency`.
    pub fn effective(&self) -> FlopsPerSecond {
        self.peak * self.efficiency.get()
    }
}

/// A memory level.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelRate {
    /// Its name in the profile.
    pub name: Arc<str>,
    /// Read bandwidth of all instances together; unknown: no roof.
    pub bandwidth: Option<BytesPerSecond>,
    /// The fraction of it that good kernels reach.
    pub efficiency: Ratio,
    /// Bytes of all instances together.
    pub capacity: Option<Bytes>,
    /// Who shares one instance.
    pub scope: Scope,
    /// How many instances.
    pub instances: u32,
    /// Software-managed bytes of one instance, where known.
    pub shared: Option<Bytes>,
    /// The weakest of bandwidth and efficiency; of capacity where the bandwidth is unknown.
    pub basis: Basis,
    /// Where the weakest comes from.
    pub origin: OriginId,
}

impl LevelRate {
    /// `bandwidth * efficiency`, where known.
    pub fn effective(&self) -> Option<BytesPerSecond> {
        self.bandwidth.map(|b| b * self.efficiency.get())
    }

    /// Bytes of one instance, where known: what a tile of one unit or chiplet can use.
    pub fn instance_capacity(&self) -> Option<Bytes> {
        self.capacity.map(|c| c / f64::from(self.instances))
    }
}

/// A link; rates are per direction and per device.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkRate {
    /// Its name in the profile.
    pub name: Arc<str>,
    /// All links together.
    pub bandwidth: BytesPerSecond,
    /// Between one pair of devices, where that is less.
    pub pair_bandwidth: Option<BytesPerSecond>,
    /// The fraction of the bandwidth that collectives reach; `None` where no figure is known.
    pub efficiency: Option<Ratio>,
    /// Time of the smallest exchange, its launch included, without its messages; where known.
    pub startup: Option<Seconds>,
    /// Time of one message of an exchange on top of its bytes, where known.
    pub latency: Option<Seconds>,
    /// How devices are wired.
    pub topology: Topology,
    /// Devices that the link can connect, where known.
    pub domain: Option<u32>,
    /// The weakest basis of the figures above.
    pub basis: Basis,
    /// Where the weakest comes from.
    pub origin: OriginId,
}

impl LinkRate {
    /// What an exchange among `ranks` adjacent devices can use, before efficiency.
    pub fn offered(&self, ranks: u64) -> Offered {
        self.topology.offered(ranks, self.domain, self.bandwidth, self.pair_bandwidth)
    }
}

/// An hourly price.
#[derive(Debug, Clone, PartialEq)]
pub struct HourlyPrice {
    /// Its name in the profile.
    pub name: Arc<str>,
    /// Dollars per hour and device.
    pub price: Known<DollarsPerHour>,
}

/// A device compiled for the cost model.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The profile's id.
    pub id: Arc<str>,
    /// At which fidelity it was compiled.
    pub fidelity: Fidelity,
    pub(super) matrix: [Option<Rate>; Format::COUNT],
    pub(super) sparse: [Option<Rate>; Format::COUNT],
    /// The vector engine's rate: fp32 where known, else fp16, else bf16 (A3).
    pub vector: Option<Rate>,
    /// The format of [`Self::vector`].
    pub vector_format: Option<Format>,
    /// Special-function rate, operations per second.
    pub special: Option<Rate>,
    /// Memory levels, innermost first, up to and including DRAM; registers are no roof.
    pub levels: SmallVec<[LevelRate; 6]>,
    /// Index of DRAM in [`Self::levels`]; the last.
    pub dram: usize,
    /// DRAM capacity.
    pub capacity: Bytes,
    /// What the capacity may be where the profile has only a marketing figure (A52).
    pub capacity_most: Option<Bytes>,
    /// Time per kernel in a stream of kernels.
    pub kernel_launch: Known<Seconds>,
    /// Compute units, where known.
    pub units: Option<u32>,
    /// Units that work together on what one of them loads, where that is more than one.
    pub cluster: Option<u32>,
    /// The clock at which the matrix peaks are quoted, where known.
    pub clock: Option<Hertz>,
    /// Thermal design power.
    pub tdp: Option<Known<Watts>>,
    /// Power when idle.
    pub idle: Option<Known<Watts>>,
    /// Power with clocks up and nothing to do, and the energy of a byte from DRAM to the units.
    pub draw: Option<(Known<Watts>, Known<Joules>)>,
    /// Hourly prices, in the profile's order.
    pub prices: Vec<HourlyPrice>,
    /// To the other devices of a node or rack.
    pub scaleup: Option<LinkRate>,
    /// To other nodes.
    pub network: Option<LinkRate>,
    /// To the host.
    pub host: Option<LinkRate>,
    /// Roofs that are missing because no figure is known, as results list them (A17).
    pub not_modelled: Vec<String>,
    /// Named fallbacks in use; none at [`Fidelity::Ideal`].
    pub fallbacks: Vec<String>,
    /// Where every input comes from.
    pub origins: Vec<Origin>,
}

impl Machine {
    /// Names of the levels, innermost first.
    pub fn level_names(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().map(|l| l.name.as_ref())
    }

    /// Where an input comes from.
    pub fn origin(&self, id: OriginId) -> &Origin {
        &self.origins[id.0 as usize]
    }

    /// The matrix engine of that format, if the device has one.
    pub fn matrix_rate(&self, format: Format) -> Option<Rate> {
        self.matrix[format as usize]
    }

    /// The matrix engine of that format on 2:4 sparse weights, where a figure is known.
    pub fn sparse_rate(&self, format: Format) -> Option<Rate> {
        self.sparse[format as usize]
    }

    /// The arithmetic intensity at which the engine, not the level, begins to limit:
    /// effective rate / effective bandwidth.
    pub fn ridge_point(&self, format: Format, level: usize) -> Option<FlopsPerByte> {
        let rate = self.matrix_rate(format)?.effective();
        Some(rate / self.levels.get(level)?.effective()?)
    }
}
