//! One field from a dotted path: `--set hardware.memory.dram.bandwidth=x2`.

use super::layer::{Layer, Named, Text};
use super::raw::RawHardware;
use crate::diagnostic::{Diagnostic, Place, clip};
use crate::yaml::{Position, Source};

impl RawHardware {
    /// A layer with one field: `memory.dram.bandwidth`, `x2`; `argument` is shown in messages.
    ///
    /// # Errors
    /// An unknown field, with the closest names, or a value of the wrong form.
    pub fn from_path(path: &str, value: &str, argument: &str) -> Result<Self, Diagnostic> {
        let shown = Source::new(clip(argument), format!("{path}={value}"));
        let at = |column: usize| Position { line: 1, column };
        let value_at = at(path.chars().count() + 2);
        if path.split('.').any(str::is_empty) || value.contains(['\n', '\r']) {
            let error = Diagnostic::new(format!("`{}` is not a path to a field", clip(path)));
            let hint = "write it as memory.dram.bandwidth=x2";
            return Err(error.at(shown.place(at(1))).hint(hint));
        }
        if ["", "~", "null", "{}"].contains(&value.trim()) || ["id", "extends"].contains(&path) {
            let error = Diagnostic::new(format!("`{}` changes no figure", clip(&shown.text)));
            let hint = "write it as memory.dram.bandwidth=x2";
            return Err(error.at(shown.place(value_at)).hint(hint));
        }
        let keys: Vec<&str> = path.split('.').collect();
        let mut text: String = keys.iter().map(|k| format!("{{{}: ", quote(k))).collect();
        text += value;
        text += &"}".repeat(keys.len());
        let parsed = Source::new(argument, text).parse::<Self>();
        let mut raw = parsed.map_err(|e| {
            let column = keys.iter().find(|k| e.message.contains(&format!("`{k}`")));
            let column = column
                .and_then(|k| path.find(*k))
                .map_or(value_at, |b| at(path[..b].chars().count() + 1));
            Diagnostic { place: shown.place(column), ..e }
        })?;
        raw.stamp(&Text { source: shown, place: Some(value_at), citations: Named::default() });
        Ok(raw)
    }

    /// This profile with one field set.
    ///
    /// # Errors
    /// As [`Self::from_path`], and a memory level, link or price that the profile does not have.
    pub fn set(self, path: &str, value: &str, argument: &str) -> Result<Self, Diagnostic> {
        let overlay = Self::from_path(path, value, argument)?;
        let place = Source::new(clip(argument), format!("{path}={value}"))
            .place(Position { line: 1, column: path.find('.').map_or(1, |dot| dot + 2) });
        known("memory level", &overlay.memory, &self.memory, &place)?;
        known("link", &overlay.links, &self.links, &place)?;
        Ok(overlay.over(self))
    }
}

/// A typing error must not become a new level; new ones are made in a file.
fn known<T>(
    what: &str,
    overlay: &Named<T>,
    base: &Named<T>,
    place: &Option<Place>,
) -> Result<(), Diagnostic> {
    match overlay.0.keys().find(|name| !base.0.contains_key(*name)) {
        Some(name) => {
            let names = base.0.keys().map(String::as_str);
            Err(Diagnostic::unknown(what, name, names).at(place.clone()))
        }
        None => Ok(()),
    }
}

fn quote(key: &str) -> String {
    serde_json::Value::from(key).to_string()
}

#[cfg(test)]
mod tests {
    use crate::hardware::{RawHardware, bundled, resolve};
    use crate::provenance::Basis;
    use crate::units::BytesPerSecond;

    fn set(path: &str, value: &str) -> Result<RawHardware, crate::diagnostic::Diagnostic> {
        let argument = format!("--set hardware.{path}={value}");
        resolve("a100-sxm-80gb", &bundled::source).expect("bundled").set(path, value, &argument)
    }

    fn refuse(path: &str, value: &str) -> String {
        let checked = set(path, value).and_then(|raw| raw.check());
        checked.expect_err("refused").to_string()
    }

    #[test]
    fn one_field_changes() {
        let hardware = set("memory.dram.bandwidth", "x2").and_then(|r| r.check()).expect("good");
        let quoted = hardware.level("dram").and_then(|l| l.bandwidth.clone()).expect("known");
        assert_eq!(quoted.value, BytesPerSecond::new(4078e9));
        assert_eq!(quoted.basis, Basis::Assumed);
        assert!(quoted.citation.starts_with("x2 of aiconfigurator"), "{}", quoted.citation);
        let hardware = set("units.count", "64").and_then(|r| r.check()).expect("good");
        assert_eq!(hardware.units.count, Some(64));
        let long = set("power.tdp", "{value: 1 kW, note: overclocked}").and_then(|r| r.check());
        assert_eq!(long.expect("good").tdp.and_then(|t| t.note).as_deref(), Some("overclocked"));
    }

    #[test]
    fn mistakes_show_the_argument() {
        insta::assert_snapshot!(refuse("memory.dram.bandwith", "x2"), @r#"
        error: unknown field `bandwith`
         --> --set hardware.memory.dram.bandwith=x2:1:13
          |
        1 | memory.dram.bandwith=x2
          |             ^^^^^^^^^^^
          |
          = help: did you mean `bandwidth`?
        "#);
        insta::assert_snapshot!(refuse("memory.dran.bandwidth", "x2"), @r#"
        error: unknown memory level `dran`
         --> --set hardware.memory.dran.bandwidth=x2:1:8
          |
        1 | memory.dran.bandwidth=x2
          |        ^^^^^^^^^^^^^^^^^
          |
          = help: did you mean `dram`?
        "#);
        insta::assert_snapshot!(refuse("memory.dram.bandwidth", "80 GB"), @r#"
        error: memory.dram.bandwidth: `80 GB` is a capacity in bytes; expected a bandwidth, for instance `3.35 TB/s`
         --> --set hardware.memory.dram.bandwidth=80 GB:1:23
          |
        1 | memory.dram.bandwidth=80 GB
          |                       ^^
        "#);
        insta::assert_snapshot!(refuse("memory.dram.bandwidth", "x8"), @r#"
        error: aggregate bandwidth rises outward: dram 16.3 TB/s is above l2 5.43 TB/s, which lies inside it
         --> --set hardware.memory.dram.bandwidth=x8:1:23
          |
        1 | memory.dram.bandwidth=x8
          |                       ^^
          |
          = help: a bandwidth is the sum over all instances; in a what-if, raise the inner level too
        "#);
        insta::assert_snapshot!(refuse("memory..bandwidth", "x8"), @r#"
        error: `memory..bandwidth` is not a path to a field
         --> --set hardware.memory..bandwidth=x8:1:1
          |
        1 | memory..bandwidth=x8
          | ^^^^^^^^^^^^^^^^^^^^
          |
          = help: write it as memory.dram.bandwidth=x2
        "#);
    }
}
