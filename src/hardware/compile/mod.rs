//! Hardware to machine: quoted values become numbers, their sources become ids.

mod engines;
mod links;
mod memory;
#[cfg(test)]
mod tests;

use super::fallback;
use super::machine::{Fidelity, HourlyPrice, Known, Machine, Origin, OriginId};
use super::price::Price;
use super::profile::Hardware;
use crate::provenance::{Basis, Quoted};
use crate::units::{Ratio, Seconds};

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
        let [matrix, sparse] = c.matrix();
        let vector = c.vector();
        let special = c.special();
        let (levels, capacity) = c.levels();
        let kernel_launch = c.kernel_launch();
        let tdp = hardware.tdp.as_ref().map(|q| c.known("power.tdp", q));
        let idle = hardware.idle.as_ref().map(|q| c.known("power.idle", q));
        let draw = hardware.draw.as_ref().map(|(active, per_byte)| {
            (c.known("power.active", active), c.known("power.per_byte", per_byte))
        });
        let prices = c.prices();
        if tdp.is_none() {
            c.not_modelled.push("energy: no TDP figure".to_owned());
        }
        if prices.is_empty() {
            c.not_modelled.push("money: no hourly price figure".to_owned());
        }
        let (scaleup, network) = (c.link("scaleup"), c.link("network"));
        let host = c.link("host");
        Self {
            id: hardware.id.clone(),
            fidelity,
            matrix,
            sparse,
            vector: vector.map(|(_, rate)| rate),
            vector_format: vector.map(|(format, _)| format),
            special,
            dram: levels.len() - 1,
            levels,
            capacity,
            capacity_most: c.capacity_most(capacity),
            kernel_launch,
            units: hardware.units.count,
            cluster: hardware.units.cluster,
            clock: hardware.units.clock.as_ref().map(|q| q.value),
            tdp,
            idle,
            draw,
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
}

/// Basis and origin of the weaker; of the first where both are as weak.
fn weakest<T>(first: Known<T>, second: Option<Known<Ratio>>) -> (Basis, OriginId) {
    match second {
        Some(second) if second.basis > first.basis => (second.basis, second.origin),
        _ => (first.basis, first.origin),
    }
}
