//! How the devices behind a link are wired, and what of a device's bandwidth an exchange can use.

use crate::diagnostic::{Diagnostic, clip};
use crate::units::BytesPerSecond;
use smallvec::SmallVec;
use std::fmt;
use std::str::FromStr;

/// How devices are wired.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Topology {
    /// A switch that gives every device its full rate to any other.
    #[default]
    Switch,
    /// The host's PCIe: no link of its own; every device at its slot's rate.
    Pcie,
    /// A link between every two devices.
    Mesh,
    /// Two neighbours each.
    Ring,
    /// Two neighbours along each axis. An axis closes to a ring where the devices along it are a
    /// multiple of its extent here, and is a line elsewhere.
    Torus(SmallVec<[u32; 3]>),
}

/// What a link offers to an exchange.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offered {
    /// Rate at which a device sends to and receives from its peers when all exchange pieces in
    /// rings.
    pub ring: BytesPerSecond,
    /// Rate at which a device sends when each sends to all others.
    pub all_to_all: BytesPerSecond,
    /// Rate to one other device.
    pub pair: BytesPerSecond,
    /// Messages that follow each other while a piece reaches every device.
    pub hops: u64,
}

impl Topology {
    /// What `ranks` adjacent devices can use of links with `bandwidth` together and
    /// `pair_bandwidth` to one peer.
    ///
    /// A mesh uses a link per peer; a ring or torus two links per closed axis and one per line, its
    /// devices shaped as close to a cube as they go (A66). All-to-all is bounded by the links across
    /// the middle of the longest axis.
    pub fn offered(
        &self,
        ranks: u64,
        domain: Option<u32>,
        bandwidth: BytesPerSecond,
        pair: Option<BytesPerSecond>,
    ) -> Offered {
        match self {
            Self::Switch | Self::Pcie => {
                let hops = ranks.saturating_sub(1);
                Offered { ring: bandwidth, all_to_all: bandwidth, pair: bandwidth, hops }
            }
            Self::Mesh => {
                let pair = pair.unwrap_or(bandwidth);
                let ring = bandwidth.min(pair * ranks.saturating_sub(1).max(1) as f64);
                Offered { ring, all_to_all: ring, pair, hops: 1 }
            }
            Self::Ring => grid(&[domain.unwrap_or(u32::MAX)], ranks, bandwidth, pair),
            Self::Torus(axes) => grid(axes, ranks, bandwidth, pair),
        }
    }
}

fn grid(
    axes: &[u32],
    ranks: u64,
    bandwidth: BytesPerSecond,
    pair: Option<BytesPerSecond>,
) -> Offered {
    let pair = pair.unwrap_or_else(|| bandwidth / (2.0 * axes.len() as f64));
    let shape = shape(ranks, axes.len());
    let mut links = 0;
    let mut hops = 0;
    let mut all_to_all = bandwidth;
    for (&length, &extent) in shape.iter().zip(axes) {
        if length < 2 {
            continue;
        }
        let closed = length > 2 && length.is_multiple_of(u64::from(extent));
        let directions = if closed { 2 } else { 1 };
        links += directions;
        hops += if closed { length / 2 } else { length - 1 };
        // Half of the devices send half of what they hold across the middle: with s bytes sent by
        // each to all, n s / 4 over n / length x directions links.
        all_to_all = all_to_all.min(pair * (4.0 * f64::from(directions) / length as f64));
    }
    let ring = bandwidth.min(pair * f64::from(links.max(1)));
    Offered { ring, all_to_all: all_to_all.min(ring), pair, hops }
}

/// The most cubic box of `ranks` devices: the longest axis is as short as it can be, then the next.
/// Longest axis first.
fn shape(ranks: u64, axes: usize) -> Vec<u64> {
    if axes <= 1 {
        return vec![ranks];
    }
    let divisors = (1..=ranks).filter(|d| ranks.is_multiple_of(*d));
    let boxes = divisors.map(|d| {
        let mut all = vec![d];
        all.extend(shape(ranks / d, axes - 1));
        all.sort_unstable_by(|a, b| b.cmp(a));
        all
    });
    boxes.min().unwrap_or_else(|| vec![1; axes])
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("switch"),
            Self::Pcie => f.write_str("pcie"),
            Self::Mesh => f.write_str("mesh"),
            Self::Ring => f.write_str("ring"),
            Self::Torus(axes) => {
                let axes: Vec<String> = axes.iter().map(u32::to_string).collect();
                write!(f, "torus {}", axes.join("x"))
            }
        }
    }
}

impl FromStr for Topology {
    type Err = Diagnostic;

    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let torus = |axes: &str| -> Option<Self> {
            let axes: Option<SmallVec<[u32; 3]>> =
                axes.trim().split('x').map(|a| a.parse().ok().filter(|n| *n > 1)).collect();
            axes.filter(|axes| (1..=3).contains(&axes.len())).map(Self::Torus)
        };
        let found = match text.trim() {
            "switch" => Some(Self::Switch),
            "pcie" => Some(Self::Pcie),
            "mesh" => Some(Self::Mesh),
            "ring" => Some(Self::Ring),
            other => other.strip_prefix("torus").and_then(torus),
        };
        found.ok_or_else(|| {
            Diagnostic::new(format!("`{}` is not a topology", clip(text)))
                .hint("one of switch, pcie, mesh, ring, torus 16x16, torus 4x4x4")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: f64 = 1e9;

    fn offered(text: &str, ranks: u64, total: f64, pair: Option<f64>) -> Offered {
        let topology: Topology = text.parse().expect("known");
        assert_eq!(topology.to_string(), text);
        let rate = |gb: f64| BytesPerSecond::new(gb * GB);
        topology.offered(ranks, Some(12), rate(total), pair.map(rate))
    }

    #[test]
    fn a_switch_gives_its_rate_and_a_mesh_a_link_per_peer() {
        let switch = offered("switch", 8, 450.0, None);
        assert_eq!((switch.ring.get(), switch.pair.get(), switch.hops), (450e9, 450e9, 7));
        let pair = offered("mesh", 2, 448.0, Some(64.0));
        assert_eq!((pair.ring.get(), pair.hops), (64e9, 1));
        assert_eq!(offered("mesh", 8, 448.0, Some(64.0)).ring.get(), 448e9);
        assert_eq!(offered("mesh", 8, 400.0, Some(64.0)).ring.get(), 400e9);
    }

    #[test]
    fn a_torus_uses_one_link_per_line_and_two_per_closed_axis() {
        let cube = offered("torus 4x4x4", 8, 270.0, Some(45.0));
        assert_eq!((cube.ring.get(), cube.hops), (135e9, 3));
        let closed = offered("torus 4x4x4", 64, 270.0, Some(45.0));
        assert_eq!((closed.ring.get(), closed.hops), (270e9, 6));
        // The middle of a closed axis of 4: 64 x 1/4 bytes over 16 x 2 links.
        assert_eq!(closed.all_to_all.get(), 45e9 * 2.0);
        let line = offered("torus 16x16", 4, 200.0, Some(50.0));
        assert_eq!((line.ring.get(), line.hops), (100e9, 2));
    }

    #[test]
    fn a_ring_closes_where_the_domain_does() {
        let line = offered("ring", 4, 100.0, None);
        assert_eq!((line.ring.get(), line.hops), (50e9, 3));
        let ring = offered("ring", 12, 100.0, None);
        assert_eq!((ring.ring.get(), ring.hops), (100e9, 6));
    }

    #[test]
    fn boxes_are_as_cubic_as_they_go() {
        assert_eq!(shape(8, 3), [2, 2, 2]);
        assert_eq!(shape(16, 3), [4, 2, 2]);
        assert_eq!(shape(8, 2), [4, 2]);
        assert_eq!(shape(7, 2), [7, 1]);
        assert_eq!(shape(1, 3), [1, 1, 1]);
    }

    #[test]
    fn other_names_are_refused() {
        for text in ["", "NVSwitch", "torus", "torus 1x4", "torus 2x2x2x2", "torus 4xx4"] {
            assert!(text.parse::<Topology>().is_err(), "{text}");
        }
    }
}
