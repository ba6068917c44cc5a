//! The calibrations inside the binary.

use super::Calibration;
use crate::diagnostic::Diagnostic;
use crate::yaml::Source;
use include_dir::{Dir, include_dir};

static CALIBRATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/hardware-profiles/calibrations");

/// The stack whose file holds the intervals of devices left out of a fit.
pub const LEFT_OUT: &str = "left-out";

/// The bundled files, sorted by name.
fn sources() -> Vec<Source> {
    let mut sources: Vec<Source> = CALIBRATIONS
        .files()
        .filter_map(|f| {
            let name = f.path().file_name()?.to_str()?;
            let text = name.ends_with(".yaml").then(|| f.contents_utf8())??;
            Some(Source::new(format!("hardware-profiles/calibrations/{name}"), text))
        })
        .collect();
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    sources
}

/// Every bundled calibration, that of [`LEFT_OUT`] included.
///
/// # Errors
/// A file that does not check; a test holds that all do.
pub fn all() -> Result<Vec<Calibration>, Diagnostic> {
    sources().iter().map(Calibration::parse).collect()
}
