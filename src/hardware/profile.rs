//! A checked device: every value quoted, the required ones present.

use super::price::Price;
use super::raw::Scope;
use super::topology::Topology;
use crate::dtype::Format;
use crate::provenance::{Basis, Quoted};
use crate::units::{Bytes, BytesPerSecond, FlopsPerSecond, Hertz, Joules, Ratio, Seconds, Watts};
use indexmap::IndexMap;
use std::sync::Arc;

/// A device whose profile holds together.
#[derive(Debug, Clone)]
pub struct Hardware {
    /// Lower case, unique.
    pub id: Arc<str>,
    /// As sold; the id where the profile gives no name.
    pub name: Arc<str>,
    /// Who makes it.
    pub vendor: Option<Arc<str>>,
    /// First year of sale.
    pub year: Option<u32>,
    /// Micro-architecture and die.
    pub architecture: Option<Arc<str>>,
    /// PCIe, SXM5, OAM...
    pub form_factor: Option<Arc<str>>,
    /// Manufacturing process.
    pub process: Option<Arc<str>>,
    /// Silicon area in square millimetres.
    pub die_mm2: Option<f64>,
    /// What a reader should know.
    pub notes: Option<Arc<str>>,
    /// Compute units.
    pub units: Units,
    /// Dense matrix peaks (A3); at least one.
    pub matrix: IndexMap<Format, Quoted<FlopsPerSecond>>,
    /// Matrix peaks on 2:4 sparse weights, skipped zeros counted as operations (A62).
    pub sparse: IndexMap<Format, Quoted<FlopsPerSecond>>,
    /// Vector peaks.
    pub vector: IndexMap<Format, Quoted<FlopsPerSecond>>,
    /// Special-function peak.
    pub special: Option<Quoted<FlopsPerSecond>>,
    /// Memory levels, innermost first; one is named `dram`.
    pub levels: Vec<Level>,
    /// Links by name: `host`, `scaleup`, `network`.
    pub links: IndexMap<Arc<str>, Link>,
    /// Thermal design power.
    pub tdp: Option<Quoted<Watts>>,
    /// Power when idle.
    pub idle: Option<Quoted<Watts>>,
    /// Power with clocks up and nothing to do, and the energy of a byte from DRAM to the units.
    pub draw: Option<(Quoted<Watts>, Quoted<Joules>)>,
    /// Named prices.
    pub prices: IndexMap<Arc<str>, Price>,
    /// Fractions of the peaks that good kernels reach.
    pub efficiency: Efficiency,
    /// Time per kernel in a stream of kernels.
    pub kernel_launch: Option<Quoted<Seconds>>,
    pub(super) rows: Vec<Row>,
}

/// Compute units.
#[derive(Debug, Clone, Default)]
pub struct Units {
    /// What the vendor calls one.
    pub kind: Option<Arc<str>>,
    /// How many are enabled.
    pub count: Option<u32>,
    /// The clock at which the matrix peaks are quoted.
    pub clock: Option<Quoted<Hertz>>,
    /// How many work together on what one of them loads, where that is more than one.
    pub cluster: Option<u32>,
}

/// One memory level.
#[derive(Debug, Clone)]
pub struct Level {
    /// Its name in the profile.
    pub name: Arc<str>,
    /// Who shares one instance.
    pub scope: Scope,
    /// How many instances.
    pub instances: u32,
    /// Technology.
    pub kind: Option<Arc<str>>,
    /// Bytes of one instance.
    pub capacity: Option<Quoted<Bytes>>,
    /// Software-managed bytes of one instance.
    pub shared: Option<Quoted<Bytes>>,
    /// Read bandwidth of all instances together.
    pub bandwidth: Option<Quoted<BytesPerSecond>>,
    /// Load-to-use latency.
    pub latency: Option<Quoted<Seconds>>,
    /// Latency to the other partition.
    pub far_latency: Option<Quoted<Seconds>>,
}

/// A link; rates are per direction and per device.
#[derive(Debug, Clone)]
pub struct Link {
    /// Product and number of links.
    pub kind: Option<Arc<str>>,
    /// All links together, one direction.
    pub bandwidth: Quoted<BytesPerSecond>,
    /// Between one pair of devices, where that is less.
    pub pair_bandwidth: Option<Quoted<BytesPerSecond>>,
    /// Time of the smallest exchange, its launch included, without its messages.
    pub startup: Option<Quoted<Seconds>>,
    /// Time of one message of an exchange on top of its bytes.
    pub latency: Option<Quoted<Seconds>>,
    /// How devices are wired.
    pub topology: Topology,
    /// Devices that the link can connect.
    pub domain: Option<u32>,
}

/// Fractions of the quoted rates that good kernels reach; absent where no figure is known.
#[derive(Debug, Clone, Default)]
pub struct Efficiency {
    /// Of the matrix peak.
    pub matrix: Option<Quoted<Ratio>>,
    /// Of the vector peak.
    pub vector: Option<Quoted<Ratio>>,
    /// Of the special-function peak.
    pub special: Option<Quoted<Ratio>>,
    /// Of a level's bandwidth.
    pub memory: IndexMap<Arc<str>, Quoted<Ratio>>,
    /// Of a link's bandwidth.
    pub links: IndexMap<Arc<str>, Quoted<Ratio>>,
}

/// One value of a profile, as a table shows it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Row {
    /// Dotted path in the profile.
    pub path: String,
    /// The value with its unit.
    pub value: String,
    /// How it is known.
    pub basis: Basis,
    /// Who says so.
    pub citation: Arc<str>,
    /// A caveat.
    pub note: Option<Arc<str>>,
}

impl Hardware {
    /// Every quoted value, in the profile's order.
    pub fn describe(&self) -> &[Row] {
        &self.rows
    }

    /// What a reader should doubt: required figures that are assumed, links that nothing reads.
    pub fn warnings(&self) -> Vec<String> {
        let required = |path: &str| {
            path.starts_with("engines.matrix.")
                || ["memory.dram.bandwidth", "memory.dram.capacity"].contains(&path)
        };
        let assumed = self.rows.iter().filter(|r| required(&r.path) && r.basis == Basis::Assumed);
        let assumed = assumed.map(|r| match &r.note {
            Some(note) => format!("{} is assumed: {note}", r.path),
            None => format!("{} is assumed: {}", r.path, r.citation),
        });
        let read = ["host", "scaleup", "network"];
        let links = self.links.keys().filter(|name| !read.contains(&name.as_ref()));
        assumed.chain(links.map(|l| format!("links.{l} is not read by the model"))).collect()
    }

    /// The level of that name.
    pub fn level(&self, name: &str) -> Option<&Level> {
        self.levels.iter().find(|l| l.name.as_ref() == name)
    }
}

impl Level {
    /// Bytes of all instances together.
    pub fn total_capacity(&self) -> Option<Bytes> {
        Some(self.capacity.as_ref()?.value * f64::from(self.instances))
    }
}
