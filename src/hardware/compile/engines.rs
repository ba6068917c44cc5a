//! Compute rates: peak and efficiency of each engine.

use super::{Compiler, weakest};
use crate::dtype::Format;
use crate::hardware::fallback;
use crate::hardware::machine::{Known, Rate};
use crate::provenance::Quoted;
use crate::units::{FlopsPerSecond, Ratio};

impl Compiler<'_> {
    fn rate(
        &mut self,
        path: &str,
        peak: &Quoted<FlopsPerSecond>,
        efficiency: Option<Known<Ratio>>,
    ) -> Rate {
        let peak = self.known(path, peak);
        let (basis, origin) = weakest(peak, efficiency);
        let efficiency = efficiency.map_or(Ratio::new(1.0), |e| e.value);
        Rate { peak: peak.value, efficiency, basis, origin }
    }

    /// Dense and 2:4 sparse rates of the matrix engines; kernels for both reach the same fraction.
    pub(super) fn matrix(&mut self) -> [[Option<Rate>; Format::COUNT]; 2] {
        let hardware = self.hardware;
        let figure = hardware.efficiency.matrix.as_ref();
        let efficiency = self.efficiency("matrix", figure, fallback::matrix);
        [("matrix", &hardware.matrix), ("sparse", &hardware.sparse)].map(|(kind, peaks)| {
            let mut rates = [None; Format::COUNT];
            for (format, peak) in peaks {
                let path = format!("engines.{kind}.{format}");
                rates[*format as usize] = Some(self.rate(&path, peak, efficiency));
            }
            rates
        })
    }

    pub(super) fn vector(&mut self) -> Option<(Format, Rate)> {
        let hardware = self.hardware;
        let order = [Format::Fp32, Format::Fp16, Format::Bf16];
        let found = order.iter().find_map(|f| Some((*f, hardware.vector.get(f)?)));
        let Some((format, peak)) = found else {
            self.not_modelled.push("vector rate: no figure".to_owned());
            return None;
        };
        let figure = hardware.efficiency.vector.as_ref();
        let efficiency = self.efficiency("vector", figure, fallback::vector);
        Some((format, self.rate(&format!("engines.vector.{format}"), peak, efficiency)))
    }

    pub(super) fn special(&mut self) -> Option<Rate> {
        let hardware = self.hardware;
        let Some(peak) = &hardware.special else {
            self.not_modelled.push("special-function rate: no figure".to_owned());
            return None;
        };
        let figure = hardware.efficiency.special.as_ref();
        let efficiency = self.efficiency("special", figure, fallback::vector);
        Some(self.rate("engines.special", peak, efficiency))
    }
}
