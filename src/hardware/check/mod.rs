//! From what a file says to a device that holds together.

mod efficiency;
mod links;
mod memory;
mod prices;
mod reader;
#[cfg(test)]
mod tests;

use super::figure::Figure;
use super::layer::{Named, Placed};
use super::profile::{Hardware, Units};
use super::raw::{RawHardware, RawUnits};
use crate::diagnostic::{Diagnostic, Place};
use crate::dtype::Format;
use crate::provenance::Quoted;
use crate::units::FlopsPerSecond;
use indexmap::IndexMap;
use reader::{Reader, count, text};
use std::sync::Arc;

impl RawHardware {
    /// Checks the profile.
    ///
    /// # Errors
    /// A malformed id, a quantity of the wrong dimension, an unknown format, a missing required
    /// figure (one matrix peak, DRAM bandwidth, DRAM capacity), an efficiency above 1, or memory
    /// levels that contradict each other.
    pub fn check(&self) -> Result<Hardware, Diagnostic> {
        let id = check_id(self.id.as_ref())?;
        let mut reader = Reader { citations: &self.citations, rows: vec![] };
        let units = read_units(&mut reader, self.units.as_ref())?;
        let engines = self.engines.clone().unwrap_or_default();
        let matrix = rates(&mut reader, "engines.matrix", &engines.matrix)?;
        if matrix.is_empty() {
            let error = Diagnostic::new(format!("{id} has no matrix peak")).at(id_place(self));
            return Err(
                error.hint("add one, for instance `engines: {matrix: {bf16: 312 TFLOP/s}}`")
            );
        }
        let sparse = rates(&mut reader, "engines.sparse", &engines.sparse)?;
        let vector = rates(&mut reader, "engines.vector", &engines.vector)?;
        let special = reader.optional("engines.special", engines.special.as_ref())?;
        let levels = memory::levels(&mut reader, self, &id)?;
        let links = links::read(&mut reader, &self.links)?;
        let power = self.power.clone().unwrap_or_default();
        let tdp = reader.optional("power.tdp", power.tdp.as_ref())?;
        let idle = reader.optional("power.idle", power.idle.as_ref())?;
        let active = reader.optional("power.active", power.active.as_ref())?;
        let per_byte = reader.optional("power.per_byte", power.per_byte.as_ref())?;
        let draw = match (active, per_byte) {
            (Some(active), Some(_)) if tdp.as_ref().is_some_and(|t| active.value > t.value) => {
                let message = format!("{id}: power.active is {}, above power.tdp", active.value);
                let hint = "what it draws with clocks up and nothing to do";
                return Err(Diagnostic::new(message).at(id_place(self)).hint(hint));
            }
            (Some(active), Some(per_byte)) => Some((active, per_byte)),
            (None, None) => None,
            _ => {
                let message = format!("{id}: power.active and power.per_byte go together");
                let hint = "what a device draws is fitted as both: P = active + per_byte x bytes/s";
                return Err(Diagnostic::new(message).at(id_place(self)).hint(hint));
            }
        };
        let prices = prices::read(&mut reader, &self.prices)?;
        let efficiency = efficiency::read(&mut reader, self)?;
        let launch = self.overhead.as_ref().and_then(|o| o.kernel_launch.as_ref());
        let kernel_launch = reader.optional("overhead.kernel_launch", launch)?;
        Ok(Hardware {
            name: text(&self.name).unwrap_or_else(|| id.clone()),
            id,
            vendor: text(&self.vendor),
            year: self.year.as_ref().map(|y| y.value),
            architecture: text(&self.architecture),
            form_factor: text(&self.form_factor),
            process: text(&self.process),
            die_mm2: self.die_mm2.as_ref().map(|d| d.value),
            notes: text(&self.notes),
            units,
            matrix,
            sparse,
            vector,
            special,
            levels,
            links,
            tdp,
            idle,
            draw,
            prices,
            efficiency,
            kernel_launch,
            rows: reader.rows,
        })
    }
}

fn id_place(raw: &RawHardware) -> Option<Place> {
    raw.id.as_ref().and_then(Placed::place)
}

fn check_id(id: Option<&Placed<String>>) -> Result<Arc<str>, Diagnostic> {
    let Some(id) = id else {
        let error = Diagnostic::new("the profile has no `id`");
        return Err(error.hint("add a line such as `id: my-device`"));
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.value.is_empty() || id.value.len() > 64 || !id.value.chars().all(allowed) {
        let message = format!("`{}` is not an id", crate::diagnostic::clip(&id.value));
        let hint = "an id has up to 64 lower-case letters, digits and hyphens";
        return Err(Diagnostic::new(message).at(id.place()).hint(hint));
    }
    Ok(id.value.as_str().into())
}

fn read_units(reader: &mut Reader<'_>, raw: Option<&RawUnits>) -> Result<Units, Diagnostic> {
    let Some(raw) = raw else { return Ok(Units::default()) };
    Ok(Units {
        kind: text(&raw.kind),
        count: count("units.count", raw.count.as_ref())?,
        clock: reader.optional("units.clock", raw.clock.as_ref())?,
        cluster: count("units.cluster", raw.cluster.as_ref())?,
    })
}

/// Rates by format, in the formats' order.
fn rates(
    reader: &mut Reader<'_>,
    path: &str,
    raw: &Named<Figure>,
) -> Result<IndexMap<Format, Quoted<FlopsPerSecond>>, Diagnostic> {
    let names = Format::ALL.iter().map(|f| f.name());
    if let Some((name, figure)) = raw.0.iter().find(|(n, _)| !names.clone().any(|m| m == *n)) {
        let error = Diagnostic::unknown("number format", name, names);
        let message = format!("{path}: {}", error.message);
        return Err(Diagnostic { message, ..error }.at(figure.place()));
    }
    let known = Format::ALL.iter().filter_map(|f| Some((*f, raw.0.get(f.name())?)));
    known.map(|(f, figure)| Ok((f, reader.figure(&format!("{path}.{f}"), figure)?))).collect()
}
