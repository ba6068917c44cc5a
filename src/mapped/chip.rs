//! What kernels see of a device.

use crate::dtype::Format;
use crate::hardware::{Machine, Scope};
use crate::units::FlopsPerSecond;

/// Bytes per clock that the cache hands one unit, where no bandwidth is quoted: 5,120 bytes per clock
/// over 108 units (NVIDIA A100 Tensor Core GPU Architecture whitepaper, 2020) (A142).
const CACHE_BYTES_PER_CLOCK: f64 = 5120.0 / 108.0;

/// Matrix operations per clock of a unit, at most: eight times those of the SM of a B200.
const MOST_PER_CLOCK: f64 = 65_536.0;
/// What a device of larger units lacks.
const ARRAYS: &str = "units that tiles fill (65,536 operations per clock at most)";

/// A device without a figure that mapping kernels onto it needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{machine} has no {}, which mapping kernels needs", .missing.join(", no "))]
pub struct NotMapped {
    /// The device.
    pub machine: String,
    /// Paths in the profile.
    pub missing: Vec<&'static str>,
}

/// The figures of a device that kernels are mapped onto; SI units.
#[derive(Debug, Clone, PartialEq)]
pub struct Chip {
    /// Compute units (SMs, CUs).
    pub units: f64,
    /// Clock at which the peaks are quoted, hertz.
    pub clock: f64,
    /// Software-managed bytes of one unit.
    pub shared: f64,
    /// Bytes of the cache that all units share.
    pub cache: f64,
    /// Bytes per second from it to all units together.
    pub cache_bandwidth: f64,
    /// Whether that is a quoted figure.
    pub cache_known: bool,
    /// Bytes per second of DRAM.
    pub dram: f64,
    /// Units of a cluster that one load serves: 2 or more where the hardware multicasts, else 1.
    pub cluster: f64,
    /// Bytes per second to the other devices of a node, per direction; 0 without a link.
    pub link: f64,
    /// Dense matrix peaks by format.
    pub(super) peaks: [Option<f64>; Format::COUNT],
    /// Named fallbacks in use.
    pub fallbacks: Vec<String>,
}

impl Chip {
    /// The figures of a machine.
    ///
    /// # Errors
    /// No count of units, no clock, no software-managed memory, no cache that all units share, or units so large
    /// that kernels of tiles do not describe them (A142).
    pub fn new(machine: &Machine) -> Result<Self, NotMapped> {
        let dram = &machine.levels[machine.dram];
        let inner = &machine.levels[..machine.dram];
        let cache = inner.iter().rev().find(|l| l.scope != Scope::Unit && l.capacity.is_some());
        let on_chip = inner.iter().find(|l| l.scope == Scope::Unit);
        let shared = on_chip.and_then(|l| l.shared.or_else(|| l.instance_capacity()));
        let (clock, of_vectors) = clock(machine);
        let figures = [
            ("units.count", machine.units.is_some()),
            ("units.clock", clock.is_some()),
            ("memory.l1.shared", shared.is_some()),
            ("memory.l2.capacity", cache.is_some()),
        ];
        let missing: Vec<&'static str> =
            figures.iter().filter(|(_, there)| !there).map(|(path, _)| *path).collect();
        let tiled = machine.units.zip(clock).is_none_or(|(units, clock)| {
            let peak = machine.matrix_rate(Format::Bf16).map_or(0.0, |r| r.peak.get());
            peak / f64::from(units) / clock <= MOST_PER_CLOCK
        });
        let missing = if tiled { missing } else { vec![ARRAYS] };
        let missing = NotMapped { machine: machine.id.to_string(), missing };
        if !tiled {
            return Err(missing);
        }
        let (Some(units), Some(clock), Some(shared), Some(cache)) =
            (machine.units, clock, shared, cache)
        else {
            return Err(missing);
        };
        let units = f64::from(units);
        let known = cache.bandwidth.map(|b| b.get());
        let assumed = CACHE_BYTES_PER_CLOCK * units * clock;
        let bandwidth = known.unwrap_or(assumed);
        let fallback =
            format!("memory.{}.bandwidth = 47.4 B per clock and unit (A142)", cache.name);
        Ok(Self {
            units,
            clock,
            shared: shared.get(),
            cache: cache.capacity.map_or(0.0, |c| c.get()),
            cache_bandwidth: bandwidth,
            cache_known: known.is_some(),
            dram: dram.bandwidth.map_or(0.0, |b| b.get()),
            cluster: f64::from(machine.cluster.unwrap_or(1)),
            link: machine.scaleup.as_ref().map_or(0.0, |l| l.bandwidth.get()),
            peaks: std::array::from_fn(|i| {
                machine.matrix_rate(Format::ALL[i]).map(|r| r.peak.get())
            }),
            fallbacks: known.is_none().then_some(fallback).into_iter().chain(of_vectors).collect(),
        })
    }

    /// Dense peak of a format's matrix engine, operations per second.
    pub fn peak(&self, format: Format) -> Option<FlopsPerSecond> {
        self.peaks[format as usize].map(FlopsPerSecond::new)
    }

    /// The peak of 16-bit products: bf16, else fp16, else fp32.
    pub fn peak_16(&self) -> f64 {
        let found =
            [Format::Bf16, Format::Fp16, Format::Fp32].into_iter().find_map(|f| self.peak(f));
        found.map_or(0.0, FlopsPerSecond::get)
    }

    /// How unlike another chip's kernels this one's are expected to be: the distance of operations per
    /// clock of a unit, of its software-managed bytes and of its DRAM bytes per clock, each as a
    /// logarithm, and 1 where only one multicasts (A146).
    pub fn distance(&self, other: &Self) -> f64 {
        let ratio = |a: f64, b: f64| if a > 0.0 && b > 0.0 { (a / b).ln().abs() } else { 1.0 };
        let per_clock = |c: &Self| c.peak_16() / c.units / c.clock;
        let bytes = |c: &Self| c.dram / c.units / c.clock;
        let multicast = f64::from(u8::from((self.cluster > 1.0) != (other.cluster > 1.0)));
        ratio(per_clock(self), per_clock(other))
            + ratio(self.shared, other.shared)
            + 0.5 * ratio(bytes(self), bytes(other))
            + multicast
    }
}

/// Single-precision operations per clock of a unit: 128 lanes of multiply-add.
const VECTOR_PER_CLOCK: f64 = 256.0;

/// The clock; the one that the single-precision peak implies where none is quoted, with what is said then.
fn clock(machine: &Machine) -> (Option<f64>, Option<String>) {
    if let Some(clock) = machine.clock {
        return (Some(clock.get()), None);
    }
    let fp32 = machine.vector.filter(|_| machine.vector_format == Some(Format::Fp32));
    let implied = fp32
        .zip(machine.units)
        .map(|(rate, units)| rate.peak.get() / f64::from(units) / VECTOR_PER_CLOCK);
    let said = implied.map(|_| "units.clock = vector fp32 peak / 256 per unit (A142)".to_owned());
    (implied, said)
}
