//! `extends`: a profile laid over another, over another...

use super::layer::{Layer, Text};
use super::profile::Hardware;
use super::raw::RawHardware;
use crate::diagnostic::Diagnostic;
use crate::yaml::Source;

/// Finds the text of a profile by id or path; [`super::bundled::source`] is one.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<Source, Diagnostic>;

/// Reads, extends and checks the profile of that name.
///
/// # Errors
/// Whatever [`resolve`] and [`RawHardware::check`] refuse.
pub fn load(name: &str, lookup: Lookup<'_>) -> Result<Hardware, Diagnostic> {
    resolve(name, lookup)?.check()
}

/// Reads the profile of that name and lays it over what it extends.
///
/// # Errors
/// An unknown name, malformed YAML, a layer without `id`, or a circle of `extends`.
pub fn resolve(name: &str, lookup: Lookup<'_>) -> Result<RawHardware, Diagnostic> {
    let mut layers: Vec<RawHardware> = vec![];
    let mut chain: Vec<Source> = vec![];
    let mut next = Some((name.to_owned(), None));
    while let Some((wanted, from)) = next {
        let source =
            lookup(&wanted).map_err(|e| if e.place.is_none() { e.at(from.clone()) } else { e })?;
        if chain.iter().any(|s| s.name == source.name) {
            let names: Vec<&str> = chain.iter().chain([&source]).map(|s| s.name.as_ref()).collect();
            let message = format!("`extends` goes in a circle: {}", names.join(" -> "));
            return Err(Diagnostic::new(message).at(from).hint("one of them must stand alone"));
        }
        let raw = RawHardware::from_source(&source)?;
        if raw.id.is_none() {
            let message = format!("{} has no `id`", source.name);
            return Err(Diagnostic::new(message).hint("add a line such as `id: my-device`"));
        }
        next = raw.extends.as_ref().map(|e| (beside(&source.name, &e.value), e.place()));
        layers.push(raw);
        chain.push(source);
    }
    let base = layers.pop().unwrap_or_default();
    Ok(layers.into_iter().rev().fold(base, |base, layer| layer.over(base)))
}

impl RawHardware {
    /// Reads one layer, without what it extends.
    ///
    /// # Errors
    /// Malformed YAML or an unknown field.
    pub fn from_source(source: &Source) -> Result<Self, Diagnostic> {
        let mut raw: Self = source.parse()?;
        let citations = raw.citations.clone();
        raw.stamp(&Text { source: source.clone(), place: None, citations });
        Ok(raw)
    }
}

/// A relative path in `extends` is relative to the file that says so; an id is not a path.
fn beside(file: &str, wanted: &str) -> String {
    let is_path = wanted.contains('/') || wanted.ends_with(".yaml") || wanted.ends_with(".yml");
    let folder = file.rsplit_once('/').map(|(folder, _)| folder);
    match folder {
        Some(folder) if is_path && !wanted.starts_with('/') => tidy(&format!("{folder}/{wanted}")),
        _ if is_path => tidy(wanted),
        _ => wanted.to_owned(),
    }
}

/// Without `.` and inner `..`, so that one file has one name.
fn tidy(path: &str) -> String {
    let mut parts: Vec<&str> = vec![];
    for (i, part) in path.split('/').enumerate() {
        match part {
            "." => {}
            "" if i > 0 => {}
            ".." if parts.last().is_some_and(|p| !p.is_empty() && *p != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::bundled;
    use crate::provenance::Basis;
    use crate::units::{BytesPerSecond, FlopsPerSecond};

    const BASE: &str = "\
id: base
citations: {spec: the datasheet}
engines: {matrix: {bf16: {value: 100 TFLOP/s, basis: datasheet, cite: spec}}}
memory:
  l2: {capacity: 40 MiB, bandwidth: 5 TB/s}
  dram: {capacity: 80 GB, bandwidth: {value: 2 TB/s, basis: datasheet, cite: spec}}
";

    /// `base.yaml` and `x.yaml`, ... from the texts given.
    fn files(name: &str, files: &[(&str, &str)]) -> Result<Hardware, Diagnostic> {
        load(name, &|wanted: &str| match files.iter().find(|(n, _)| *n == wanted) {
            Some((name, text)) => Ok(Source::new(*name, *text)),
            None if wanted == "base" => Ok(Source::new("base", BASE)),
            None => bundled::source(wanted),
        })
    }

    fn bandwidth(hardware: &Hardware, level: &str) -> f64 {
        let quoted = hardware.level(level).and_then(|l| l.bandwidth.as_ref());
        quoted.expect("known").value / BytesPerSecond::new(1e12)
    }

    #[test]
    fn fields_and_maps_merge_and_factors_multiply() {
        let fast = "\
id: fast
extends: base
citations: {spec: a guess}
engines: {matrix: {int8: 200 TOP/s}}
memory:
  sram: {inside: dram, bandwidth: 4 TB/s, capacity: 1 GB}
  l0: {scope: unit, instances: 4, capacity: 1 MiB, bandwidth: 9 TB/s}
  dram: {bandwidth: x1.5}
";
        let faster = "id: faster\nextends: fast\nmemory: {dram: {bandwidth: x0.5}}\n";
        let files = |name| files(name, &[("fast", fast), ("faster", faster)]).expect("loads");
        let hardware = files("faster");
        let names: Vec<&str> = hardware.levels.iter().map(|l| l.name.as_ref()).collect();
        assert_eq!(names, ["l0", "l2", "sram", "dram"]);
        assert_eq!(hardware.matrix.len(), 2);
        let dram = hardware.level("dram").and_then(|l| l.bandwidth.clone()).expect("known");
        assert_eq!(dram.value, BytesPerSecond::new(1.5e12));
        assert_eq!(dram.basis, Basis::Assumed);
        assert_eq!(dram.citation.as_ref(), "x0.5 of x1.5 of the datasheet");
        assert_eq!(hardware.matrix[1].citation.as_ref(), "set in fast");
        // A layer's own name for a source does not change what lower layers cite.
        assert_eq!(hardware.matrix[0].citation.as_ref(), "the datasheet");
    }

    #[test]
    fn a_circle_is_named() {
        let circle = [("a", "id: a\nextends: b\n"), ("b", "id: b\nextends: a\n")];
        let error = files("a", &circle).expect_err("refused").to_string();
        insta::assert_snapshot!(error, @r#"
        error: `extends` goes in a circle: a -> b -> a
         --> b:2:10
          |
        2 | extends: a
          |          ^
          |
          = help: one of them must stand alone
        "#);
    }

    #[test]
    fn paths_are_relative_to_the_file_that_extends() {
        assert_eq!(beside("lab/mine.yaml", "./base/a.yaml"), "lab/base/a.yaml");
        assert_eq!(beside("lab/mine.yaml", "../a.yaml"), "a.yaml");
        assert_eq!(beside("../mine.yaml", "../a.yaml"), "../../a.yaml");
        assert_eq!(beside("lab/mine.yaml", "/etc/a.yaml"), "/etc/a.yaml");
        assert_eq!(beside("lab/mine.yaml", ".//mine.yaml"), "lab/mine.yaml");
        assert_eq!(beside("mine.yaml", ".//mine.yaml"), "mine.yaml");
        assert_eq!(beside("lab/mine.yaml", "h100-sxm"), "h100-sxm");
    }

    #[test]
    fn a_bundled_profile_can_be_extended() {
        let mine = "id: mine\nextends: h100-sxm\nmemory: {dram: {bandwidth: x2}}\n";
        let hardware = files("mine", &[("mine", mine)]).expect("loads");
        assert_eq!(bandwidth(&hardware, "dram"), 6.7);
        assert_eq!(
            hardware.matrix.values().next().map(|q| q.value),
            Some(FlopsPerSecond::new(494.7e12))
        );
    }

    #[test]
    fn an_unknown_base_is_shown_where_it_stands() {
        let error = files("m", &[("m", "id: m\nextends: h100-sxn\n")]).expect_err("refused");
        insta::assert_snapshot!(error, @r#"
        error: unknown hardware `h100-sxn`
         --> m:2:10
          |
        2 | extends: h100-sxn
          |          ^^^^^^^^
          |
          = help: did you mean `h100-sxm` or `h200-sxm` or `h800-sxm`?
        "#);
    }
}
