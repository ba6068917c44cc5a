//! Memory levels as roofs.

use super::{Compiler, weakest};
use crate::hardware::fallback;
use crate::hardware::machine::LevelRate;
use crate::hardware::profile::Level;
use crate::provenance::{Basis, Quoted};
use crate::units::{Bytes, Ratio};
use smallvec::SmallVec;

/// Per-unit storage without a bandwidth figure: a resource of a kernel, not a roof.
const REGISTERS: &str = "registers";

impl Compiler<'_> {
    /// Levels up to DRAM, and DRAM's capacity.
    pub(super) fn levels(&mut self) -> (SmallVec<[LevelRate; 6]>, Bytes) {
        let hardware = self.hardware;
        let mut levels = SmallVec::new();
        for level in &hardware.levels {
            if level.name.as_ref() != REGISTERS || level.bandwidth.is_some() {
                levels.push(self.level(level));
            }
            if level.name.as_ref() == "dram" {
                break;
            }
        }
        let dram = hardware.level("dram").and_then(Level::total_capacity);
        (levels, dram.expect("invariant: a checked profile has a DRAM capacity"))
    }

    /// The binary reading of a capacity whose note calls it a marketing figure: `16 GB` may be 16 GiB
    /// (A52).
    pub(super) fn capacity_most(&self, capacity: Bytes) -> Option<Bytes> {
        const BINARY: f64 = (1u64 << 30) as f64 / 1e9;
        let figure = self.hardware.level("dram")?.capacity.as_ref()?;
        let marketing = figure.note.as_ref()?.contains("marketing figure");
        marketing.then(|| capacity * BINARY)
    }

    fn level(&mut self, level: &Level) -> LevelRate {
        let path = |field: &str| format!("memory.{}.{field}", level.name);
        let capacity = level.capacity.as_ref().map(|q| self.known(&path("capacity"), q));
        let bandwidth = level.bandwidth.as_ref().map(|q| self.known(&path("bandwidth"), q));
        let (basis, origin, efficiency) = match (bandwidth, capacity) {
            (Some(bandwidth), _) => {
                let figure = self.hardware.efficiency.memory.get(&level.name);
                let name = format!("memory.{}", level.name);
                let efficiency = self.efficiency(&name, figure, fallback::memory);
                let (basis, origin) = weakest(bandwidth, efficiency);
                (basis, origin, efficiency.map_or(Ratio::new(1.0), |e| e.value))
            }
            (None, capacity) => {
                self.not_modelled.push(format!("{} bandwidth: no figure", level.name));
                let none = || Quoted {
                    value: (),
                    basis: Basis::Assumed,
                    citation: "no figure".into(),
                    note: None,
                };
                let origin = match capacity {
                    Some(known) => known.origin,
                    None => self.origin(&format!("memory.{}", level.name), &none()),
                };
                (self.origins[origin.0 as usize].basis, origin, Ratio::new(1.0))
            }
        };
        LevelRate {
            name: level.name.clone(),
            bandwidth: bandwidth.map(|b| b.value),
            efficiency,
            capacity: level.total_capacity(),
            scope: level.scope,
            instances: level.instances,
            shared: level.shared.as_ref().map(|q| q.value),
            basis,
            origin,
        }
    }
}
