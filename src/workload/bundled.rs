//! The scenarios that the binary carries.

use super::scenario::Scenario;
use crate::diagnostic::Diagnostic;
use crate::dtype::Lookup;
use crate::yaml::Source;
use include_dir::{Dir, include_dir};

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/workloads/scenarios");

/// Names of the bundled scenarios, sorted.
pub fn ids() -> Vec<&'static str> {
    let mut ids: Vec<&str> = SCENARIOS
        .files()
        .filter_map(|f| f.path().file_name()?.to_str()?.strip_suffix(".yaml"))
        .collect();
    ids.sort_unstable();
    ids
}

/// The text of a bundled scenario.
pub fn source(id: &str) -> Option<Source> {
    let text = SCENARIOS.get_file(format!("{id}.yaml"))?.contents_utf8()?;
    Some(Source::new(format!("workloads/scenarios/{id}.yaml"), text))
}

/// A bundled scenario by name, or any file through `lookup`.
///
/// # Errors
/// An unknown name, an unreadable file, or a scenario that does not check.
pub fn load(name: &str, lookup: Lookup<'_>) -> Result<Scenario, Diagnostic> {
    let source = match source(name) {
        Some(source) => source,
        None if name.contains(['/', '\\', '.']) => lookup(name)?,
        None => return Err(Diagnostic::unknown("scenario", name, ids())),
    };
    Scenario::parse(&source, lookup)
}
