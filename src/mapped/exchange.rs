//! Exchanges over devices other than sums: every device sends each of the others its part.

use super::Mapped;
use super::parameter::Parameter;

/// An exchange of a buffer of `bytes` over the devices of a node: gathered, scattered or dealt out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exchange {
    /// Devices.
    pub devices: f64,
    /// Bytes of the whole buffer on a device: what is gathered, or what is scattered.
    pub bytes: f64,
    /// Bytes per second that a device's links offer to so many, per direction.
    pub link: f64,
}

impl Exchange {
    /// Which exchanges there are, as calibrations and measured tables name them.
    pub const NAMES: [&str; 3] = ["all_gather", "reduce_scatter", "all_to_all"];

    /// Launch; seconds per device more; of the link's bandwidth; seconds until the pieces follow each other
    /// closely.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter::time("launch", 8e-6),
        Parameter::time("hop", 1e-6),
        Parameter::fraction("link", 0.75, 1.2),
        Parameter::time("fill", 50e-6),
    ];

    /// `launch + hop (n - 1) + (n - 1) / n bytes / (link x fraction) + fill`, the last as the bytes grow.
    pub fn map(&self, p: &[f64]) -> Mapped {
        let [launch, hop, link, fill] = [p[0], p[1], p[2], p[3]];
        let others = self.devices - 1.0;
        let sent = others / self.devices * self.bytes / (self.link * link);
        let seconds = launch + hop * others + sent + fill * (1.0 - (-sent / fill).exp());
        Mapped { seconds, split: 1.0, ..Mapped::default() }
    }
}
