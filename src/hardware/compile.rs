//! Hardware to machine: quoted values become numbers, their sources become ids.

use super::fallback;
use super::machine::{
    Fidelity, HourlyPrice, Known, LevelRate, LinkRate, Machine, Origin, OriginId, Rate,
};
use super::price::Price;
use super::profile::{Hardware, Level};
use crate::dtype::Format;
use crate::provenance::{Basis, Quoted};
use crate::units::{Bytes, FlopsPerSecond, Ratio, Seconds};
use smallvec::SmallVec;

/// Per-unit storage without a bandwidth figure: a resource of a kernel, not a roof.
const REGISTERS: &str = "registers";

struct Compiler<'a> {
    hardware: &'a Hardware,
    fidelity: Fidelity,
    origins: Vec<Origin>,
    fallbacks: Vec<String>,
    not_modelled: Vec<String>,
}

impl Machine {
    /// Compiles a profile.
    pub fn compile(hardware: &Hardware, fidelity: Fidelity) -> Self {
        let (origins, fallbacks, not_modelled) = (vec![], vec![], vec![]);
        let mut c = Compiler { hardware, fidelity, origins, fallbacks, not_modelled };
        let matrix = c.matrix();
        let vector = c.vector();
        let special = c.special();
        let (levels, capacity) = c.levels();
        let kernel_launch = c.kernel_launch();
        let tdp = hardware.tdp.as_ref().map(|q| c.known("power.tdp", q));
        let idle = hardware.idle.as_ref().map(|q| c.known("power.idle", q));
        let prices = c.prices();
        let (scaleup, network) = (c.link("scaleup"), c.link("network"));
        let host = c.link("host");
        Self {
            id: hardware.id.clone(),
            fidelity,
            matrix,
            vector: vector.map(|(_, rate)| rate),
            vector_format: vector.map(|(format, _)| format),
            special,
            dram: levels.len() - 1,
            levels,
            capacity,
            kernel_launch,
            units: hardware.units.count,
            tdp,
            idle,
            prices,
            scaleup,
            network,
            host,
            not_modelled: c.not_modelled,
            fallbacks: c.fallbacks,
            origins: c.origins,
        }
    }
}

impl Compiler<'_> {
    fn origin<T>(&mut self, path: &str, quoted: &Quoted<T>) -> OriginId {
        if let Some(at) = self.origins.iter().position(|o| o.path == path) {
            return OriginId(at as u32);
        }
        self.origins.push(Origin {
            path: path.to_owned(),
            basis: quoted.basis,
            citation: quoted.citation.clone(),
            note: quoted.note.clone(),
        });
        OriginId(self.origins.len() as u32 - 1)
    }

    fn known<T: Copy>(&mut self, path: &str, quoted: &Quoted<T>) -> Known<T> {
        let origin = self.origin(path, quoted);
        Known { value: quoted.value, basis: quoted.basis, origin }
    }

    /// The figure, else the named fallback; at ideal fidelity 1, which weakens nothing.
    fn efficiency(
        &mut self,
        path: &str,
        figure: Option<&Quoted<Ratio>>,
        fallback: fn() -> Quoted<Ratio>,
    ) -> Option<Known<Ratio>> {
        if self.fidelity == Fidelity::Ideal {
            return None;
        }
        if let Some(quoted) = figure {
            return Some(self.known(&format!("efficiency.{path}"), quoted));
        }
        let quoted = fallback();
        self.fallbacks.push(format!("efficiency.{path} = {} (A4)", quoted.value.get()));
        Some(self.known(&format!("fallback.efficiency.{path}"), &quoted))
    }

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

    fn matrix(&mut self) -> [Option<Rate>; Format::COUNT] {
        let hardware = self.hardware;
        let figure = hardware.efficiency.matrix.as_ref();
        let efficiency = self.efficiency("matrix", figure, fallback::matrix);
        let mut rates = [None; Format::COUNT];
        for (format, peak) in &hardware.matrix {
            let path = format!("engines.matrix.{format}");
            rates[*format as usize] = Some(self.rate(&path, peak, efficiency));
        }
        rates
    }

    fn vector(&mut self) -> Option<(Format, Rate)> {
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

    fn special(&mut self) -> Option<Rate> {
        let hardware = self.hardware;
        let Some(peak) = &hardware.special else {
            self.not_modelled.push("special-function rate: no figure".to_owned());
            return None;
        };
        let figure = hardware.efficiency.special.as_ref();
        let efficiency = self.efficiency("special", figure, fallback::vector);
        Some(self.rate("engines.special", peak, efficiency))
    }

    /// Levels up to DRAM, and DRAM's capacity.
    fn levels(&mut self) -> (SmallVec<[LevelRate; 6]>, Bytes) {
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
            basis,
            origin,
        }
    }

    fn kernel_launch(&mut self) -> Known<Seconds> {
        let (path, quoted) = match (self.fidelity, &self.hardware.kernel_launch) {
            (Fidelity::Ideal, _) => {
                // The strongest basis: a definition weakens no result.
                let citation = "ideal fidelity: overheads are zero".into();
                let zero = Seconds::ZERO;
                let quoted = Quoted { value: zero, basis: Basis::Datasheet, citation, note: None };
                ("ideal.kernel_launch", quoted)
            }
            (Fidelity::Realistic, Some(quoted)) => ("overhead.kernel_launch", quoted.clone()),
            (Fidelity::Realistic, None) => {
                let quoted = fallback::kernel_launch();
                self.fallbacks.push(format!("overhead.kernel_launch = {} (A4)", quoted.value));
                ("fallback.overhead.kernel_launch", quoted)
            }
        };
        self.known(path, &quoted)
    }

    fn prices(&mut self) -> Vec<HourlyPrice> {
        let hardware = self.hardware;
        let hourly = hardware.prices.iter().filter_map(|(name, price)| match price {
            Price::Hourly(quoted) => Some((name, quoted)),
            Price::Purchase(_) => None,
        });
        hourly
            .map(|(name, quoted)| HourlyPrice {
                name: name.clone(),
                price: self.known(&format!("prices.{name}"), quoted),
            })
            .collect()
    }

    fn link(&mut self, name: &str) -> Option<LinkRate> {
        let hardware = self.hardware;
        let link = hardware.links.get(name)?;
        let path = |field: &str| format!("links.{name}.{field}");
        let bandwidth = self.known(&path("bandwidth"), &link.bandwidth);
        let pair = link.pair_bandwidth.as_ref().map(|q| self.known(&path("pair_bandwidth"), q));
        let latency = link.latency.as_ref().map(|q| self.known(&path("latency"), q));
        let figure = hardware.efficiency.links.get(name);
        let efficiency = figure.map(|q| self.known(&format!("efficiency.links.{name}"), q));
        let first = (bandwidth.basis, bandwidth.origin);
        let rest = [
            pair.map(|k| (k.basis, k.origin)),
            latency.map(|k| (k.basis, k.origin)),
            efficiency.map(|k| (k.basis, k.origin)),
        ];
        let (basis, origin) =
            rest.into_iter().flatten().fold(first, |a, b| if b.0 > a.0 { b } else { a });
        let ideal = self.fidelity == Fidelity::Ideal;
        Some(LinkRate {
            name: name.into(),
            bandwidth: bandwidth.value,
            pair_bandwidth: pair.map_or(bandwidth.value, |p| p.value),
            efficiency: if ideal { Some(Ratio::new(1.0)) } else { efficiency.map(|e| e.value) },
            latency: if ideal { Some(Seconds::ZERO) } else { latency.map(|l| l.value) },
            domain: link.domain,
            basis,
            origin,
        })
    }
}

/// Basis and origin of the weaker; of the first where both are as weak.
fn weakest<T>(first: Known<T>, second: Option<Known<Ratio>>) -> (Basis, OriginId) {
    match second {
        Some(second) if second.basis > first.basis => (second.basis, second.origin),
        _ => (first.basis, first.origin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::{Compute, Scheme};
    use crate::hardware::{EngineClass, NoPrice, bundled, load};
    use crate::units::{BytesPerSecond, DollarsPerHour, FlopsPerByte};

    fn machine(id: &str, fidelity: Fidelity) -> Machine {
        let hardware = load(id, &bundled::source).unwrap_or_else(|e| panic!("{id}: {e}"));
        Machine::compile(&hardware, fidelity)
    }

    #[test]
    fn ideal_has_peaks_and_no_overhead() {
        let ideal = machine("a100-sxm-80gb", Fidelity::Ideal);
        let engine = ideal.matrix(Compute::Native16).expect("bf16");
        assert_eq!(engine.format, Format::Bf16);
        assert_eq!(engine.rate.effective(), FlopsPerSecond::new(312e12));
        assert_eq!(engine.rate.basis, Basis::Datasheet);
        assert_eq!(ideal.levels[ideal.dram].effective(), Some(BytesPerSecond::new(2039e9)));
        assert_eq!(ideal.kernel_launch.value, Seconds::ZERO);
        assert!(ideal.fallbacks.is_empty());
        let ridge = ideal.ridge_point(Format::Bf16, ideal.dram);
        assert_eq!(ridge, Some(FlopsPerByte::new(312e12 / 2039e9)));
        assert_eq!(ideal.level_names().collect::<Vec<_>>(), ["l1", "l2", "dram"]);
    }

    #[test]
    fn realistic_carries_efficiencies_with_their_origin() {
        let real = machine("a100-sxm-80gb", Fidelity::Realistic);
        let rate = real.matrix_rate(Format::Bf16).expect("bf16");
        assert_eq!(rate.effective(), FlopsPerSecond::new(312e12) * 0.845);
        assert_eq!(rate.basis, Basis::Measured);
        assert_eq!(real.origin(rate.origin).path, "efficiency.matrix");
        assert_eq!(real.levels[real.dram].efficiency, Ratio::new(0.831));
        assert_eq!(real.kernel_launch.value, Seconds::new(1.4e-6));
        assert_eq!(real.fallbacks, ["efficiency.vector = 0.75 (A4)"]);
        assert_eq!(real.not_modelled, ["special-function rate: no figure"]);
    }

    #[test]
    fn fallbacks_and_missing_roofs_are_listed() {
        let t4 = machine("t4", Fidelity::Realistic);
        assert_eq!(t4.matrix(Compute::Native16).expect("fp16").format, Format::Fp16);
        assert_eq!(
            t4.fallbacks,
            [
                "efficiency.matrix = 0.75 (A4)",
                "efficiency.vector = 0.75 (A4)",
                "efficiency.memory.dram = 0.8 (A4)",
                "overhead.kernel_launch = 2.00 us (A4)",
            ]
        );
        assert_eq!(
            t4.not_modelled,
            [
                "special-function rate: no figure",
                "l1 bandwidth: no figure",
                "l2 bandwidth: no figure",
            ]
        );
        assert_eq!(t4.price(None), Err(NoPrice::NoFigure { machine: "t4".into() }));
    }

    #[test]
    fn a_missing_engine_is_refused_with_a_substitute_that_exists() {
        let a100 = machine("a100-sxm-80gb", Fidelity::Ideal);
        let fp32 = a100.matrix(Compute::Exact(Format::Fp32)).expect("vector engine");
        assert_eq!(fp32.class, EngineClass::Vector);
        let error = a100.matrix(Compute::Exact(Format::Fp8E4m3)).expect_err("refused");
        insta::assert_snapshot!(crate::diagnostic::Diagnostic::from(error), @r#"
        error: a100-sxm-80gb has no fp8-e4m3 matrix engine
         |
         = help: it has tf32, bf16, fp16, int8, int4; the closest scheme is `wfp8a16`
        "#);
        let mut none = a100.clone();
        none.matrix = [None; Format::COUNT];
        none.vector = None;
        for compute in Format::ALL.iter().map(|f| Compute::Exact(*f)).chain([Compute::Native16]) {
            let scheme = none.matrix(compute).expect_err("refused").substitute;
            scheme.parse::<Scheme>().unwrap_or_else(|e| panic!("{scheme}: {e}"));
        }
    }

    #[test]
    fn prices_have_an_order_and_a_reason() {
        let a100 = machine("a100-sxm-80gb", Fidelity::Ideal);
        assert_eq!(a100.price(None).map(|p| p.price.value), Ok(DollarsPerHour::new(1.29)));
        let named = a100.price(Some("cloud-hyperscaler")).map(|p| p.price.value);
        assert_eq!(named, Ok(DollarsPerHour::new(4.0)));
        let error = a100.price(Some("cloud-hi")).expect_err("refused").to_string();
        assert!(error.contains("it has: cloud-low, cloud-hyperscaler"), "{error}");
    }
}
