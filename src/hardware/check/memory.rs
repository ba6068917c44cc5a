//! Memory levels: their order, what is required of `dram`, and the laws that hold between them.

use super::id_place;
use super::reader::{Reader, count, text};
use crate::diagnostic::{Diagnostic, clip};
use crate::hardware::figure::Figure;
use crate::hardware::profile::Level;
use crate::hardware::raw::{RawHardware, RawLevel, Scope};
use crate::provenance::Quoted;
use indexmap::IndexMap;

/// The levels, innermost first, checked.
pub(super) fn levels(
    reader: &mut Reader<'_>,
    raw: &RawHardware,
    id: &str,
) -> Result<Vec<Level>, Diagnostic> {
    check_names(raw)?;
    let ordered = order(&raw.memory.0)?;
    let mut levels = vec![];
    for (name, level) in &ordered {
        levels.push(read(reader, name, level)?);
    }
    require_dram(raw, &levels, id)?;
    let place = |name: &str, field: fn(&RawLevel) -> &Option<Figure>| {
        field(raw.memory.0.get(name)?).as_ref()?.place()
    };
    if let Err((inner, outer)) = falls_outward(&levels, |l| l.bandwidth.as_ref()) {
        let message = format!(
            "aggregate bandwidth rises outward: {} {} is above {} {}, which lies inside it",
            outer.0, outer.1, inner.0, inner.1
        );
        let error = Diagnostic::new(message).at(place(outer.0, |l| &l.bandwidth));
        let hint =
            "a bandwidth is the sum over all instances; in a what-if, raise the inner level too";
        return Err(error.hint(hint));
    }
    let shared: Vec<Level> =
        levels.iter().rev().filter(|l| l.scope == Scope::Device).cloned().collect();
    if let Err((outer, inner)) = falls_outward(&shared, |l| l.capacity.as_ref()) {
        let message = format!(
            "capacity falls outward: {} {} is above {} {}, which lies outside it",
            inner.0, inner.1, outer.0, outer.1
        );
        let error = Diagnostic::new(message).at(place(inner.0, |l| &l.capacity));
        return Err(error.hint("levels are listed innermost first"));
    }
    Ok(levels)
}

/// Most memory levels; bundled profiles have up to 7.
const MOST_LEVELS: usize = 32;

/// Names are columns and labels, few and short.
fn check_names(raw: &RawHardware) -> Result<(), Diagnostic> {
    let names = raw.memory.0.keys();
    if names.len() > MOST_LEVELS {
        let message = format!("{} memory levels, more than {MOST_LEVELS}", names.len());
        return Err(Diagnostic::new(message).at(id_place(raw)));
    }
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let mut names = names;
    match names.find(|n| n.is_empty() || n.len() > 32 || !n.chars().all(legal)) {
        Some(name) => {
            let message = format!("`{}` is not the name of a memory level", clip(name));
            let hint = "up to 32 lower-case letters, digits, hyphens and underscores, as in `l2`";
            Err(Diagnostic::new(message).at(id_place(raw)).hint(hint))
        }
        None => Ok(()),
    }
}

/// The first two neighbours (among those with a value) of which the second is larger.
#[allow(clippy::type_complexity, reason = "two named values, local to this file")]
fn falls_outward<'a, T: PartialOrd + Copy + 'a>(
    levels: &'a [Level],
    value: fn(&'a Level) -> Option<&'a Quoted<T>>,
) -> Result<(), ((&'a str, T), (&'a str, T))> {
    let known = levels.iter().filter_map(|l| Some((l.name.as_ref(), value(l)?.value)));
    let known: Vec<(&str, T)> = known.collect();
    match known.windows(2).find(|pair| pair[1].1 > pair[0].1) {
        Some(pair) => Err((pair[0], pair[1])),
        None => Ok(()),
    }
}

/// The written order, with each `inside: x` level moved to just before `x`.
fn order(raw: &IndexMap<String, RawLevel>) -> Result<IndexMap<&str, &RawLevel>, Diagnostic> {
    let mut names: Vec<&str> = raw.keys().map(String::as_str).collect();
    for (name, level) in raw {
        let Some(outer) = &level.inside else { continue };
        names.retain(|n| n != name);
        let Some(at) = names.iter().position(|n| *n == outer.value) else {
            let error = Diagnostic::unknown("memory level", &outer.value, names.iter().copied());
            return Err(error.at(outer.place()));
        };
        names.insert(at, name);
    }
    let at = |name: &str| names.iter().position(|n| *n == name);
    for (name, level) in raw {
        if let Some(outer) = level.inside.as_ref().filter(|outer| at(name) > at(&outer.value)) {
            let message = format!("`{name}` does not end up inside `{}`", outer.value);
            let hint = "list the levels innermost first, and leave `inside` out";
            return Err(Diagnostic::new(message).at(outer.place()).hint(hint));
        }
    }
    Ok(names.into_iter().filter_map(|n| Some((n, raw.get(n)?))).collect())
}

fn read(reader: &mut Reader<'_>, name: &str, raw: &RawLevel) -> Result<Level, Diagnostic> {
    let path = |field: &str| format!("memory.{name}.{field}");
    let instances = count(&path("instances"), raw.instances.as_ref())?.unwrap_or(1);
    Ok(Level {
        name: name.into(),
        scope: raw.scope.as_ref().map_or(Scope::Device, |s| s.value),
        instances,
        kind: text(&raw.kind),
        capacity: reader.optional(&path("capacity"), raw.capacity.as_ref())?,
        shared: reader.optional(&path("shared"), raw.shared.as_ref())?,
        bandwidth: reader.optional(&path("bandwidth"), raw.bandwidth.as_ref())?,
        latency: reader.optional(&path("latency"), raw.latency.as_ref())?,
        far_latency: reader.optional(&path("far_latency"), raw.far_latency.as_ref())?,
    })
}

fn require_dram(raw: &RawHardware, levels: &[Level], id: &str) -> Result<(), Diagnostic> {
    let refuse = |what: &str, example: &str| {
        let error = Diagnostic::new(format!("{id} has no {what}")).at(id_place(raw));
        Err(error.hint(format!("add it, for instance `memory: {{dram: {{{example}}}}}`")))
    };
    let Some(dram) = levels.iter().find(|l| l.name.as_ref() == "dram") else {
        return refuse("memory level `dram`", "bandwidth: 2039 GB/s, capacity: 81920 MiB");
    };
    match (&dram.bandwidth, &dram.capacity) {
        (None, _) => refuse("DRAM bandwidth", "bandwidth: 2039 GB/s"),
        (_, None) => refuse("DRAM capacity", "capacity: 81920 MiB"),
        _ => Ok(()),
    }
}
