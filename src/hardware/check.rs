//! From what a file says to a device that holds together.

use super::figure::Figure;
use super::layer::{Named, Placed};
use super::price::Price;
use super::profile::{Efficiency, Hardware, Link, Row, Units};
use super::raw::{RawEfficiency, RawHardware, RawLink, RawUnits};
use crate::diagnostic::Diagnostic;
use crate::dtype::Format;
use crate::provenance::Quoted;
use crate::units::{Dollars, FlopsPerSecond, Quantity, Ratio};
use indexmap::IndexMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

/// Reads figures and keeps the table of what was read.
pub(super) struct Reader<'a> {
    citations: &'a Named<Placed<String>>,
    rows: Vec<Row>,
}

impl Reader<'_> {
    /// The figure as a quantity, entered in the table.
    pub fn figure<T>(&mut self, path: &str, raw: &Figure) -> Result<Quoted<T>, Diagnostic>
    where
        T: Quantity + FromStr + Display,
        T::Err: Display,
    {
        let quoted: Quoted<T> = raw.read(path, self.citations)?;
        self.rows.push(Row {
            path: path.to_owned(),
            value: quoted.value.to_string(),
            basis: quoted.basis,
            citation: quoted.citation.clone(),
            note: quoted.note.clone(),
        });
        Ok(quoted)
    }

    /// The same where there may be none.
    pub fn optional<T>(
        &mut self,
        path: &str,
        raw: Option<&Figure>,
    ) -> Result<Option<Quoted<T>>, Diagnostic>
    where
        T: Quantity + FromStr + Display,
        T::Err: Display,
    {
        raw.map(|figure| self.figure(path, figure)).transpose()
    }
}

pub(super) fn text(raw: &Option<Placed<String>>) -> Option<Arc<str>> {
    raw.as_ref().map(|t| t.value.as_str().into())
}

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
        let vector = rates(&mut reader, "engines.vector", &engines.vector)?;
        let special = reader.optional("engines.special", engines.special.as_ref())?;
        let levels = super::check_memory::levels(&mut reader, self, &id)?;
        let links = read_links(&mut reader, &self.links)?;
        let power = self.power.clone().unwrap_or_default();
        let tdp = reader.optional("power.tdp", power.tdp.as_ref())?;
        let idle = reader.optional("power.idle", power.idle.as_ref())?;
        let prices = read_prices(&mut reader, &self.prices)?;
        let efficiency = read_efficiency(&mut reader, self)?;
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
            vector,
            special,
            levels,
            links,
            tdp,
            idle,
            prices,
            efficiency,
            kernel_launch,
            rows: reader.rows,
        })
    }
}

pub(super) fn id_place(raw: &RawHardware) -> Option<crate::diagnostic::Place> {
    raw.id.as_ref().and_then(Placed::place)
}

fn check_id(id: Option<&Placed<String>>) -> Result<Arc<str>, Diagnostic> {
    let Some(id) = id else {
        let error = Diagnostic::new("the profile has no `id`");
        return Err(error.hint("add a line such as `id: my-device`"));
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.value.is_empty() || !id.value.chars().all(allowed) {
        let message = format!("`{}` is not an id", crate::diagnostic::clip(&id.value));
        let hint = "an id has lower-case letters, digits and hyphens";
        return Err(Diagnostic::new(message).at(id.place()).hint(hint));
    }
    Ok(id.value.as_str().into())
}

fn read_units(reader: &mut Reader<'_>, raw: Option<&RawUnits>) -> Result<Units, Diagnostic> {
    let Some(raw) = raw else { return Ok(Units::default()) };
    Ok(Units {
        kind: text(&raw.kind),
        count: raw.count.as_ref().map(|c| c.value),
        clock: reader.optional("units.clock", raw.clock.as_ref())?,
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

fn read_links(
    reader: &mut Reader<'_>,
    raw: &Named<RawLink>,
) -> Result<IndexMap<Arc<str>, Link>, Diagnostic> {
    let mut links = IndexMap::new();
    for (name, link) in &raw.0 {
        let path = |field: &str| format!("links.{name}.{field}");
        let Some(bandwidth) = &link.bandwidth else { continue };
        let link = Link {
            kind: text(&link.kind),
            bandwidth: reader.figure(&path("bandwidth"), bandwidth)?,
            pair_bandwidth: reader
                .optional(&path("pair_bandwidth"), link.pair_bandwidth.as_ref())?,
            latency: reader.optional(&path("latency"), link.latency.as_ref())?,
            topology: text(&link.topology),
            domain: link.domain.as_ref().map(|d| d.value),
        };
        links.insert(name.as_str().into(), link);
    }
    Ok(links)
}

/// `$` alone is a purchase, anything else must be a price per hour.
fn read_prices(
    reader: &mut Reader<'_>,
    raw: &Named<Figure>,
) -> Result<IndexMap<Arc<str>, Price>, Diagnostic> {
    let mut prices = IndexMap::new();
    for (name, figure) in &raw.0 {
        let path = format!("prices.{name}");
        let price = match figure.text().parse::<Dollars>() {
            Ok(_) => Price::Purchase(reader.figure(&path, figure)?),
            Err(_) => Price::Hourly(reader.figure(&path, figure)?),
        };
        prices.insert(name.as_str().into(), price);
    }
    Ok(prices)
}

fn read_efficiency(reader: &mut Reader<'_>, raw: &RawHardware) -> Result<Efficiency, Diagnostic> {
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

#[cfg(test)]
mod tests {
    use crate::hardware::RawHardware;
    use crate::yaml::Source;

    const GOOD: &str = "\
id: mine
engines:
  matrix: {bf16: 312 TFLOP/s}
memory:
  l2: {capacity: 40 MiB, bandwidth: 5 TB/s}
  dram: {capacity: 80 GB, bandwidth: 2 TB/s}
";

    fn refuse(from: &str, to: &str) -> String {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "the text to replace exists");
        let source = Source::new("mine.yaml", text);
        let checked = RawHardware::from_source(&source).and_then(|raw| raw.check());
        checked.expect_err("refused").to_string()
    }

    #[test]
    fn the_good_one_loads() {
        let raw = RawHardware::from_source(&Source::new("mine.yaml", GOOD)).expect("parses");
        assert_eq!(raw.check().expect("checks").levels.len(), 2);
    }

    #[test]
    fn an_unknown_field_names_the_closest() {
        insta::assert_snapshot!(refuse("bandwidth: 2", "bandwith: 2"), @r#"
        error: unknown field `bandwith`
         --> mine.yaml:6:27
          |
        6 |   dram: {capacity: 80 GB, bandwith: 2 TB/s}
          |                           ^^^^^^^^^
          |
          = help: did you mean `bandwidth`?
        "#);
    }

    #[test]
    fn a_capacity_with_a_wrong_unit_shows_a_right_one() {
        insta::assert_snapshot!(refuse("80 GB", "80 GBit/s"), @r#"
        error: memory.dram.capacity: unknown unit `GBit/s` in `80 GBit/s`; expected a capacity in bytes, for instance `80 GB` or `256 KiB`
         --> mine.yaml:6:20
          |
        6 |   dram: {capacity: 80 GBit/s, bandwidth: 2 TB/s}
          |                    ^^
        "#);
    }

    #[test]
    fn an_unknown_format_names_the_closest() {
        insta::assert_snapshot!(refuse("bf16", "fp8"), @r#"
        error: engines.matrix: unknown number format `fp8`
         --> mine.yaml:3:17
          |
        3 |   matrix: {fp8: 312 TFLOP/s}
          |                 ^^^
          |
          = help: did you mean `fp8-e4m3` or `fp8-e5m2`?
        "#);
    }

    #[test]
    fn a_profile_needs_a_matrix_peak() {
        insta::assert_snapshot!(refuse("{bf16: 312 TFLOP/s}", "{}"), @r#"
        error: mine has no matrix peak
         --> mine.yaml:1:5
          |
        1 | id: mine
          |     ^^^^
          |
          = help: add one, for instance `engines: {matrix: {bf16: 312 TFLOP/s}}`
        "#);
    }

    #[test]
    fn a_profile_needs_dram_figures() {
        insta::assert_snapshot!(refuse(", bandwidth: 2 TB/s", ""), @r#"
        error: mine has no DRAM bandwidth
         --> mine.yaml:1:5
          |
        1 | id: mine
          |     ^^^^
          |
          = help: add it, for instance `memory: {dram: {bandwidth: 2039 GB/s}}`
        "#);
    }

    #[test]
    fn a_key_stands_once() {
        let shown = refuse("  l2:", "  dram:");
        assert!(shown.contains("duplicate") && shown.contains("mine.yaml:6:3\n"), "{shown}");
    }

    #[test]
    fn bandwidth_does_not_rise_outward() {
        insta::assert_snapshot!(refuse("2 TB/s", "8 TB/s"), @r#"
        error: aggregate bandwidth rises outward: dram 8.00 TB/s is above l2 5.00 TB/s, which lies inside it
         --> mine.yaml:6:38
          |
        6 |   dram: {capacity: 80 GB, bandwidth: 8 TB/s}
          |                                      ^
          |
          = help: a bandwidth is the sum over all instances; in a what-if, raise the inner level too
        "#);
    }

    #[test]
    fn capacity_does_not_fall_outward() {
        insta::assert_snapshot!(refuse("40 MiB", "400 GiB"), @r#"
        error: capacity falls outward: l2 429 GB is above dram 80.0 GB, which lies outside it
         --> mine.yaml:5:18
          |
        5 |   l2: {capacity: 400 GiB, bandwidth: 5 TB/s}
          |                  ^^^
          |
          = help: levels are listed innermost first
        "#);
    }

    #[test]
    fn zero_negative_and_factor_without_base_are_refused() {
        insta::assert_snapshot!(refuse("2 TB/s", "0 TB/s"), @r#"
        error: memory.dram.bandwidth is zero
         --> mine.yaml:6:38
          |
        6 |   dram: {capacity: 80 GB, bandwidth: 0 TB/s}
          |                                      ^
          |
          = help: leave an unknown figure out
        "#);
        insta::assert_snapshot!(refuse("2 TB/s", "-2 TB/s"), @r#"
        error: memory.dram.bandwidth: `-2 TB/s` is negative or not finite; expected a bandwidth, for instance `3.35 TB/s`
         --> mine.yaml:6:38
          |
        6 |   dram: {capacity: 80 GB, bandwidth: -2 TB/s}
          |                                      ^^
        "#);
        insta::assert_snapshot!(refuse("2 TB/s", "x2"), @r#"
        error: memory.dram.bandwidth: `x2` has nothing to multiply
         --> mine.yaml:6:38
          |
        6 |   dram: {capacity: 80 GB, bandwidth: x2}
          |                                      ^^^
          |
          = help: the profile below has no figure here; write one
        "#);
        insta::assert_snapshot!(refuse("2 TB/s", "{basis: datasheet}"), @r#"
        error: missing field `value`
         --> mine.yaml:6:39
          |
        6 |   dram: {capacity: 80 GB, bandwidth: {basis: datasheet}}
          |                                       ^^^^^^
        "#);
        insta::assert_snapshot!(refuse("2 TB/s", "{value: 2 TB/s, basis: guess}"), @r#"
        error: memory.dram.bandwidth.value.basis: unknown value `guess`
         --> mine.yaml:6:61
          |
        6 |   dram: {capacity: 80 GB, bandwidth: {value: 2 TB/s, basis: guess}}
          |                                                             ^^^^^^^
          |
          = help: expected one of: datasheet, measured, calibrated, derived, assumed
        "#);
        insta::assert_snapshot!(refuse("id: mine", "id: Mine"), @r#"
        error: `Mine` is not an id
         --> mine.yaml:1:5
          |
        1 | id: Mine
          |     ^^^^
          |
          = help: an id has lower-case letters, digits and hyphens
        "#);
    }
}
