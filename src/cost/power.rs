//! What a device draws.

use crate::hardware::Machine;
use crate::units::{Bytes, Joules, Seconds, Watts};

/// What a device draws: its TDP, or by what it does where that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    /// Thermal design power.
    pub tdp: Watts,
    /// With clocks up and nothing to do, and for a byte from DRAM.
    pub draw: Option<(Watts, Joules)>,
}

/// What one device does in a time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// Bytes through every memory level.
    pub bytes: Bytes,
    /// Time that the matrix operations take at the rate that the engines sustain.
    pub matrix: Seconds,
}

impl Power {
    /// The power figures of a machine; `None` without a TDP.
    pub fn of(machine: &Machine) -> Option<Self> {
        let draw = machine.draw.map(|(active, per_byte)| (active.value, per_byte.value));
        Some(Self { tdp: machine.tdp?.value, draw })
    }

    /// The TDP alone.
    pub const fn tdp(tdp: Watts) -> Self {
        Self { tdp, draw: None }
    }

    /// Energy of a time: `TDP x time` (A12); where the draw was measured and the load is known
    /// `active x time + per_byte x bytes + (TDP - active) x matrix`, no more than that (A152).
    pub fn energy(&self, time: Seconds, load: Option<Load>) -> Joules {
        let most = self.tdp.get() * time.get();
        let (Some((active, per_byte)), Some(load)) = (self.draw, load) else {
            return Joules::new(most);
        };
        let engines = (self.tdp.get() - active.get()).max(0.0) * load.matrix.get();
        let sum = active.get() * time.get() + per_byte.get() * load.bytes.get() + engines;
        Joules::new(sum.min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{Fidelity, bundled, load};

    fn power(id: &str) -> Power {
        let hardware = load(id, &bundled::source).expect("bundled");
        Power::of(&Machine::compile(&hardware, Fidelity::Realistic)).expect("a TDP")
    }

    /// Board power of a kernel that streams and hardly computes: RRZE-HPC/gpu-benches@1038c5d, gpu-roofline,
    /// `0 its`: bytes per second, and the watts that were read (of several boards their median).
    const STREAMS: [(&str, f64, f64); 3] =
        [("a100-sxm-40gb", 1372e9, 229.0), ("a40", 679e9, 206.0), ("h200-sxm", 3759e9, 572.0)];

    #[test]
    fn streaming_kernels_draw_what_was_read_on_the_board() {
        for (id, bandwidth, watts) in STREAMS {
            let load = Load { bytes: Bytes::new(bandwidth), matrix: Seconds::ZERO };
            let found = power(id).energy(Seconds::new(1.0), Some(load)).get();
            assert!((found / watts - 1.0).abs() < 0.02, "{id}: {found:.0} W, {watts} W read");
        }
    }

    #[test]
    fn no_phase_draws_more_than_the_tdp_nor_less_than_clocks() {
        let (h200, second) = (power("h200-sxm"), Seconds::new(1.0));
        let at = |bytes: f64, matrix: f64| {
            let load = Load { bytes: Bytes::new(bytes), matrix: Seconds::new(matrix) };
            h200.energy(second, Some(load)).get()
        };
        assert_eq!(at(0.0, 0.0), 105.0);
        assert_eq!(at(0.0, 1.0), 700.0);
        assert_eq!(at(4e12, 1.0), 700.0);
        assert!(at(1e12, 0.0) < at(1e12, 0.1) && at(1e12, 0.1) < at(2e12, 0.1));
        assert_eq!(h200.energy(second, None).get(), 700.0);
        assert_eq!(power("h100-sxm").energy(second, Some(Load::default())).get(), 700.0);
    }
}
