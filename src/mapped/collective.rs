//! Sums over devices: at once for few bytes, round a ring for many.

use super::Mapped;
use super::parameter::Parameter;

/// An all-reduce of `bytes` over the devices of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AllReduce {
    /// Devices.
    pub devices: f64,
    /// Bytes of one summand.
    pub bytes: f64,
    /// Bytes per second that a device's links offer to so many, per direction.
    pub link: f64,
}

impl AllReduce {
    /// Launch; seconds per device more; of the link's bandwidth where every device reads all others at
    /// once; of it round a ring; seconds until the ring's pieces follow each other closely.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter::time("launch", 4e-6),
        Parameter::time("hop", 1e-6),
        Parameter::fraction("at_once", 0.6, 1.2),
        Parameter::fraction("ring", 0.75, 1.2),
        Parameter::time("fill", 50e-6),
    ];

    /// The faster of both ways.
    pub fn map(&self, p: &[f64]) -> Mapped {
        let [launch, hop, at_once, ring, fill] = [p[0], p[1], p[2], p[3], p[4]];
        let others = self.devices - 1.0;
        let start = launch + hop * others;
        let direct = start + others * self.bytes / (self.link * at_once);
        let sent = 2.0 * others / self.devices * self.bytes / (self.link * ring);
        // The pipeline of pieces fills as the bytes grow, up to `fill` seconds.
        let round = start + sent + fill * (1.0 - 0.6 * (-sent / fill).exp());
        Mapped { seconds: direct.min(round), split: 1.0, units: 0.0, ..Mapped::default() }
    }
}
