//! A profile as written: every field optional, so that one profile can be laid over another.

use super::figure::Figure;
use super::layer::{Named, Placed, layers};
use serde::Deserialize;

/// How many instances of a memory level a device has, and who reaches each.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One per compute unit (SM, CU, core), private to it.
    Unit,
    /// One per chiplet or die, private to it.
    Partition,
    /// One, shared by the whole device.
    Device,
}

layers! {
    /// A device, or a change to one.
    pub struct RawHardware {
        /// Lower case: `[a-z0-9-]`, equal to the file's stem.
        pub id: Option<Placed<String>>,
        /// The profile that this one changes: an id or a path.
        pub extends: Option<Placed<String>>,
        /// As sold.
        pub name: Option<Placed<String>>,
        /// Who makes it.
        pub vendor: Option<Placed<String>>,
        /// First year of sale.
        pub year: Option<Placed<u32>>,
        /// Micro-architecture and die.
        pub architecture: Option<Placed<String>>,
        /// PCIe, SXM5, OAM...
        pub form_factor: Option<Placed<String>>,
        /// Manufacturing process.
        pub process: Option<Placed<String>>,
        /// Silicon area in square millimetres.
        pub die_mm2: Option<Placed<f64>>,
        /// Compute dies in the package.
        pub dies: Option<Placed<u32>>,
        /// What a reader should know.
        pub notes: Option<Placed<String>>,
        /// Names of sources, for `cite`.
        pub citations: Named<Placed<String>>,
        /// Compute units.
        pub units: Option<RawUnits>,
        /// Peak rates.
        pub engines: Option<RawEngines>,
        /// Memory levels, innermost first.
        pub memory: Named<RawLevel>,
        /// Links to other devices, per direction.
        pub links: Named<RawLink>,
        /// Power.
        pub power: Option<RawPower>,
        /// Named prices: `$/h`, or `$` for a purchase.
        pub prices: Named<Figure>,
        /// Fractions of the peaks that good kernels reach.
        pub efficiency: Option<RawEfficiency>,
        /// Fixed times.
        pub overhead: Option<RawOverhead>,
    }

    /// Compute units: SM, CU, core.
    pub struct RawUnits {
        /// What the vendor calls one.
        pub kind: Option<Placed<String>>,
        /// How many are enabled.
        pub count: Option<Placed<u32>>,
        /// The clock at which the peaks are quoted.
        pub clock: Option<Figure>,
        /// How many work together on what one of them loads (thread block clusters with multicast); 1
        /// unless stated.
        pub cluster: Option<Placed<u32>>,
    }

    /// Peak rates per device, dense.
    pub struct RawEngines {
        /// Matrix engines by number format, fp32 (or int32) accumulation.
        pub matrix: Named<Figure>,
        /// Matrix engines on 2:4 sparse weights by number format, skipped zeros counted as operations.
        pub sparse: Named<Figure>,
        /// Vector engines by number format: fp32, fp16, bf16.
        pub vector: Named<Figure>,
        /// Special functions (exp, rsqrt, sin, division), operations per second.
        pub special: Option<Figure>,
    }

    /// One memory level.
    pub struct RawLevel {
        /// Who shares one instance; `device` unless stated.
        pub scope: Option<Placed<Scope>>,
        /// How many instances; 1 unless stated.
        pub instances: Option<Placed<u32>>,
        /// Technology: HBM3, GDDR6...
        pub kind: Option<Placed<String>>,
        /// For a new level of an overlay: the name of the next level outward.
        pub inside: Option<Placed<String>>,
        /// Bytes of one instance.
        pub capacity: Option<Figure>,
        /// Software-managed memory that a kernel can use in one instance.
        pub shared: Option<Figure>,
        /// Read bandwidth of all instances together.
        pub bandwidth: Option<Figure>,
        /// Load-to-use latency.
        pub latency: Option<Figure>,
        /// Latency to the other partition of the level.
        pub far_latency: Option<Figure>,
    }

    /// A link; rates are per direction and per device.
    pub struct RawLink {
        /// Product and number of links.
        pub kind: Option<Placed<String>>,
        /// All links of the device together, one direction.
        pub bandwidth: Option<Figure>,
        /// Between one pair of devices, where that is less.
        pub pair_bandwidth: Option<Figure>,
        /// Time of the smallest exchange, its launch included, without its messages.
        pub startup: Option<Figure>,
        /// Time of one message of an exchange on top of its bytes.
        pub latency: Option<Figure>,
        /// How devices are wired: switch, pcie, mesh, ring, torus 16x16.
        pub topology: Option<Placed<String>>,
        /// Devices that the link can connect.
        pub domain: Option<Placed<u32>>,
    }

    /// Power.
    pub struct RawPower {
        /// Thermal design power.
        pub tdp: Option<Figure>,
        /// Power when idle.
        pub idle: Option<Figure>,
        /// Power with clocks up and nothing to do.
        pub active: Option<Figure>,
        /// Energy of a byte from DRAM to the units, all levels and losses included; beside `active`.
        pub per_byte: Option<Figure>,
    }

    /// Fractions of the quoted rates that good kernels reach.
    pub struct RawEfficiency {
        /// Of the matrix peak: large GEMMs.
        pub matrix: Option<Figure>,
        /// Of the vector peak.
        pub vector: Option<Figure>,
        /// Of the special-function peak.
        pub special: Option<Figure>,
        /// Of a level's bandwidth, by level name.
        pub memory: Named<Figure>,
        /// Of a link's bandwidth, by link name.
        pub links: Named<Figure>,
    }

    /// Fixed times.
    pub struct RawOverhead {
        /// Per kernel in a stream of kernels.
        pub kernel_launch: Option<Figure>,
    }
}
