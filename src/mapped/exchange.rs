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

    /// Launch; seconds per device more; of the link's bandwidth where every word carries its own flag, and
    /// where pieces do; seconds until the pieces follow each other closely.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter::time("launch", 8e-6),
        Parameter::time("hop", 1e-6),
        Parameter { range: (0.001, 1.2), ..Parameter::fraction("low_latency", 0.1, 1.2) },
        Parameter::fraction("link", 0.75, 1.2),
        Parameter::time("fill", 30e-6),
    ];

    /// `launch + hop (n - 1)` and the faster of two protocols with `sent = (n - 1) / n bytes / link`: words at
    /// once, `sent / low_latency`; or pieces, `sent / fraction + fill`, most of the latter from the first byte.
    ///
    /// Libraries have both: NCCL calls them LL and Simple (Hu and others, "Demystifying NCCL", 2025,
    /// arXiv:2507.04786).
    pub fn map(&self, p: &[f64]) -> Mapped {
        let [launch, hop, low_latency, link, fill] = [p[0], p[1], p[2], p[3], p[4]];
        let others = self.devices - 1.0;
        let sent = others / self.devices * self.bytes / self.link;
        let pieces = sent / link;
        let pieces = pieces + fill * (1.0 - 0.6 * (-pieces / fill).exp());
        let seconds = launch + hop * others + pieces.min(sent / low_latency);
        Mapped { seconds, split: 1.0, ..Mapped::default() }
    }
}
