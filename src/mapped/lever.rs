//! What would make a launch faster: the same launch on a chip that has more of one thing.

use super::{Chip, Shape};

/// Something of a device, or of a stack on it, that there could be more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lever {
    /// The peak of the matrix engines.
    Matrix,
    /// The units, at the same peaks.
    Units,
    /// The bandwidth of DRAM.
    Dram,
    /// The bytes of the cache that all units share.
    Cache,
    /// The bandwidth of that cache.
    CacheBandwidth,
    /// The software-managed bytes of a unit.
    Shared,
    /// The bandwidth of the links.
    Link,
    /// The launch, which falls away.
    Launch,
}

impl Lever {
    /// All levers.
    pub const ALL: [Self; 8] = [
        Self::Matrix,
        Self::Units,
        Self::Dram,
        Self::Cache,
        Self::CacheBandwidth,
        Self::Shared,
        Self::Link,
        Self::Launch,
    ];

    /// What is changed, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Matrix => "matrix peak x2",
            Self::Units => "units x2",
            Self::Dram => "DRAM bandwidth x2",
            Self::Cache => "cache x2",
            Self::CacheBandwidth => "cache bandwidth x2",
            Self::Shared => "shared memory x2",
            Self::Link => "link x2",
            Self::Launch => "no launch",
        }
    }

    /// Seconds of a launch where there is twice as much of it.
    fn seconds(self, shape: &Shape, chip: &Chip, p: &[f64]) -> f64 {
        let mut chip = chip.clone();
        let mut shape = *shape;
        let mut p = p.to_vec();
        match self {
            Self::Matrix => shape = shape.at_peak(2.0),
            Self::Units => chip.units *= 2.0,
            Self::Dram => chip.dram *= 2.0,
            Self::Cache => chip.cache *= 2.0,
            Self::CacheBandwidth => chip.cache_bandwidth *= 2.0,
            Self::Shared => chip.shared *= 2.0,
            Self::Link => shape = shape.over_link(2.0),
            Self::Launch => {
                let launch = shape.kind().parameters().iter().position(|p| p.name == "launch");
                if let Some(i) = launch {
                    p[i] = 0.0;
                }
            }
        }
        shape.map(&chip, &p).seconds
    }
}

/// What a gain is counted to: a launch that moves nothing but starts gains without end when it falls away.
const MOST: f64 = 1000.0;

/// How many times as fast a launch is with twice as much of each thing, at most 1000, the most first.
pub fn gains(shape: &Shape, chip: &Chip, p: &[f64]) -> Vec<(Lever, f64)> {
    let now = shape.map(chip, p).seconds;
    let gain = |lever: Lever| (lever, (now / lever.seconds(shape, chip, p)).min(MOST));
    let mut gains: Vec<(Lever, f64)> = Lever::ALL.into_iter().map(gain).collect();
    gains.sort_by(|a, b| b.1.total_cmp(&a.1));
    gains
}
