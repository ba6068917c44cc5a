//! Links to other devices.

use super::Compiler;
use crate::hardware::machine::{Fidelity, LinkRate};
use crate::units::{Ratio, Seconds};

impl Compiler<'_> {
    pub(super) fn link(&mut self, name: &str) -> Option<LinkRate> {
        let hardware = self.hardware;
        let link = hardware.links.get(name)?;
        let path = |field: &str| format!("links.{name}.{field}");
        let bandwidth = self.known(&path("bandwidth"), &link.bandwidth);
        let pair = link.pair_bandwidth.as_ref().map(|q| self.known(&path("pair_bandwidth"), q));
        let startup = link.startup.as_ref().map(|q| self.known(&path("startup"), q));
        let latency = link.latency.as_ref().map(|q| self.known(&path("latency"), q));
        let figure = hardware.efficiency.links.get(name);
        let efficiency = figure.map(|q| self.known(&format!("efficiency.links.{name}"), q));
        let first = (bandwidth.basis, bandwidth.origin);
        let rest = [
            pair.map(|k| (k.basis, k.origin)),
            startup.map(|k| (k.basis, k.origin)),
            latency.map(|k| (k.basis, k.origin)),
            efficiency.map(|k| (k.basis, k.origin)),
        ];
        let (basis, origin) =
            rest.into_iter().flatten().fold(first, |a, b| if b.0 > a.0 { b } else { a });
        let ideal = self.fidelity == Fidelity::Ideal;
        Some(LinkRate {
            name: name.into(),
            bandwidth: bandwidth.value,
            pair_bandwidth: pair.map(|p| p.value),
            efficiency: if ideal { Some(Ratio::new(1.0)) } else { efficiency.map(|e| e.value) },
            startup: if ideal { Some(Seconds::ZERO) } else { startup.map(|l| l.value) },
            latency: if ideal { Some(Seconds::ZERO) } else { latency.map(|l| l.value) },
            topology: link.topology.clone(),
            domain: link.domain,
            basis,
            origin,
        })
    }
}
