//! Time of an exchange between devices: `alpha + bytes x beta` over the links that it crosses (A69).
//!
//! Inside a domain the devices exchange over the scale-up link; a group beyond it is one of groups:
//! pieces go between the domains over the network link, and inside each as before. Pieces go round
//! in rings (Patarasuk and Yuan, 2009; Thakur et al., 2005), so a device sends `(n - 1) / n` of the
//! bytes in an all-gather or reduce-scatter and twice that in an all-reduce. A broadcast passes all of
//! them on, piece by piece (A93).

use crate::hardware::{LinkRate, Machine, fallback};
use crate::op::Exchange;
use crate::provenance::Basis;

/// The devices of a group that exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peers {
    /// How many (n).
    pub ranks: u64,
    /// Devices between one and the next, 1 for neighbours.
    pub stride: u64,
    /// Place of the first among all devices.
    pub first: u64,
}

/// A device without the link that an exchange needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{device} has no `{link}` link in its profile, which {ranks} devices exchange over")]
pub struct NoLink {
    /// The device.
    pub device: String,
    /// Which link is missing.
    pub link: &'static str,
    /// Devices that exchange.
    pub ranks: u64,
}

/// `alpha + bytes x beta` seconds, and what they are known from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExchangeTime {
    /// Seconds of the smallest exchange.
    pub alpha: f64,
    /// Seconds per byte of [`Exchange`]'s elements.
    pub beta: f64,
    /// Whether it leaves the domain of the scale-up link.
    pub crosses: bool,
    /// Bytes per second that a device's links of the domain offer to the group.
    pub offered: f64,
    /// Named fallbacks for figures that the profile lacks.
    pub fallbacks: Vec<String>,
}

impl ExchangeTime {
    /// The time of an exchange on a machine.
    ///
    /// # Errors
    /// No link that reaches the peers.
    pub fn new(machine: &Machine, exchange: Exchange, peers: Peers) -> Result<Self, NoLink> {
        let n = peers.ranks;
        let domain = machine.scaleup.as_ref().map_or(1, |l| l.domain.map_or(u64::MAX, u64::from));
        if exchange == Exchange::Send {
            let crosses = peers.first / domain != (peers.first + peers.stride) / domain;
            let link = link(machine, crosses, 2)?;
            let mut time = Self { crosses, ..Self::default() };
            time.add(machine, link, 1.0, 1.0 / link.offered(2).pair.get(), true);
            return Ok(time);
        }
        let inside = n.min((domain / peers.stride).max(1));
        let domains = n.div_ceil(inside);
        let (n1, n2) = (inside as f64, domains as f64);
        let mut time = Self { crosses: domains > 1, ..Self::default() };
        let rounds = if exchange == Exchange::AllReduce { 2.0 } else { 1.0 };
        if inside > 1 {
            let link = link(machine, false, n)?;
            let offered = link.offered(inside);
            let (hops, beta) = match exchange {
                Exchange::AllToAll => (1.0, (n1 - 1.0) / (n1 * n2) / offered.all_to_all.get()),
                Exchange::Broadcast => (offered.hops as f64, 1.0 / offered.ring.get()),
                _ => (rounds * offered.hops as f64, rounds * (n1 - 1.0) / n1 / offered.ring.get()),
            };
            let rate =
                if exchange == Exchange::AllToAll { offered.all_to_all } else { offered.ring };
            time.offered = rate.get();
            time.add(machine, link, hops, beta, true);
        }
        if domains > 1 {
            let link = link(machine, true, n)?;
            let offered = link.offered(domains);
            let (hops, beta) = match exchange {
                Exchange::AllToAll => (1.0, (n2 - 1.0) / n2 / offered.all_to_all.get()),
                Exchange::Broadcast => (offered.hops as f64, 1.0 / offered.ring.get()),
                _ => (
                    rounds * offered.hops as f64,
                    rounds * (n2 - 1.0) / n2 / n1 / offered.ring.get(),
                ),
            };
            time.add(machine, link, hops, beta, inside == 1);
        }
        Ok(time)
    }

    /// Adds `messages` in sequence over a link and `beta` seconds per byte at its full rate.
    fn add(&mut self, machine: &Machine, link: &LinkRate, messages: f64, beta: f64, first: bool) {
        let mut missing = |field: &str, value: String| {
            self.fallbacks.push(format!("links.{}.{field} = {value} (A67)", link.name));
        };
        let efficiency = link.efficiency.unwrap_or_else(|| {
            let quoted = fallback::link().value;
            missing("efficiency", quoted.get().to_string());
            quoted
        });
        let latency = link.latency.unwrap_or_else(|| {
            let quoted = fallback::link_latency().value;
            missing("latency", quoted.to_string());
            quoted
        });
        // The launch is a cost of every kernel already; the start of an exchange includes it.
        let launch = machine.kernel_launch.value.get();
        let startup = link.startup.map_or(0.0, |s| (s.get() - launch).max(0.0));
        self.alpha += messages * latency.get() + if first { startup } else { 0.0 };
        self.beta += beta / efficiency.get();
    }

    /// Seconds for so many bytes.
    pub fn seconds(&self, bytes: f64) -> f64 {
        self.alpha + bytes * self.beta
    }

    /// The weakest basis behind the time.
    pub fn basis(&self, link: &LinkRate) -> Basis {
        if self.fallbacks.is_empty() { link.basis } else { Basis::Assumed }
    }
}

fn link(machine: &Machine, outer: bool, ranks: u64) -> Result<&LinkRate, NoLink> {
    let (name, link) = match (outer, &machine.scaleup) {
        (false, scaleup) => ("scaleup", scaleup),
        (true, _) => ("network", &machine.network),
    };
    link.as_ref().ok_or_else(|| {
        let name = if machine.scaleup.is_none() { "scaleup" } else { name };
        NoLink { device: machine.id.to_string(), link: name, ranks }
    })
}
