//! Efficiencies: fractions of 1, of things that the profile has.

use super::reader::Reader;
use crate::diagnostic::Diagnostic;
use crate::hardware::figure::Figure;
use crate::hardware::layer::Named;
use crate::hardware::profile::Efficiency;
use crate::hardware::raw::{RawEfficiency, RawHardware};
use crate::provenance::Quoted;
use crate::units::Ratio;
use indexmap::IndexMap;
use std::sync::Arc;

pub(super) fn read(reader: &mut Reader<'_>, raw: &RawHardware) -> Result<Efficiency, Diagnostic> {
    let none = RawEfficiency::default();
    let given = raw.efficiency.as_ref().unwrap_or(&none);
    let mut single = |name: &str, figure: &Option<Figure>| {
        figure.as_ref().map(|f| fraction(reader, &format!("efficiency.{name}"), f)).transpose()
    };
    let (matrix, vector) = (single("matrix", &given.matrix)?, single("vector", &given.vector)?);
    let special = single("special", &given.special)?;
    let levels: Vec<&str> = raw.memory.0.keys().map(String::as_str).collect();
    let memory = fractions(reader, "memory", &given.memory, &levels)?;
    let links: Vec<&str> = raw.links.0.keys().map(String::as_str).collect();
    let links = fractions(reader, "links", &given.links, &links)?;
    Ok(Efficiency { matrix, vector, special, memory, links })
}

fn fractions(
    reader: &mut Reader<'_>,
    group: &str,
    raw: &Named<Figure>,
    names: &[&str],
) -> Result<IndexMap<Arc<str>, Quoted<Ratio>>, Diagnostic> {
    let mut all = IndexMap::new();
    for (name, figure) in &raw.0 {
        if !names.contains(&name.as_str()) {
            let what = format!("name in efficiency.{group}");
            return Err(Diagnostic::unknown(&what, name, names.iter().copied()).at(figure.place()));
        }
        let path = format!("efficiency.{group}.{name}");
        all.insert(name.as_str().into(), fraction(reader, &path, figure)?);
    }
    Ok(all)
}

fn fraction(
    reader: &mut Reader<'_>,
    path: &str,
    figure: &Figure,
) -> Result<Quoted<Ratio>, Diagnostic> {
    let quoted: Quoted<Ratio> = reader.figure(path, figure)?;
    if quoted.value > Ratio::new(1.0) {
        let error = Diagnostic::new(format!("{path} is {}, above 1", quoted.value));
        return Err(error.at(figure.place()).hint("it is a fraction of the peak, such as 0.85"));
    }
    Ok(quoted)
}
