//! Finding models, devices and scenarios: bundled by id, or from a path.

use super::files;
use crate::diagnostic::Diagnostic;
use crate::hardware::{self, Fidelity, Hardware, Machine, RawHardware};
use crate::model::{self, Architecture};
use crate::yaml::Source;

/// A model by id or path: a model YAML, or a Hugging Face `config.json`.
///
/// # Errors
/// An unknown id, an unreadable file, or a model that does not check.
pub fn architecture(name: &str) -> Result<Architecture, Diagnostic> {
    model::load(name, &files::read)
}

/// The text of a profile, by path or bundled id.
fn profile_source(name: &str) -> Result<Source, Diagnostic> {
    if files::is_path(name) { files::read(name) } else { hardware::bundled::source(name) }
}

/// A profile with what it extends, before it is checked.
///
/// # Errors
/// An unknown id or unreadable file.
pub fn raw_hardware(name: &str) -> Result<RawHardware, Diagnostic> {
    hardware::resolve(name, &profile_source)
}

/// A checked profile.
///
/// # Errors
/// As [`raw_hardware`], and a profile that does not check.
pub fn hardware(name: &str) -> Result<Hardware, Diagnostic> {
    raw_hardware(name)?.check()
}

/// A profile with fields set by `hardware.path=value`, compiled.
///
/// # Errors
/// As [`hardware`], and a path that the profile does not have.
pub fn machine(
    name: &str,
    settings: &[(String, String)],
    fidelity: Fidelity,
) -> Result<(Hardware, Machine), Diagnostic> {
    let mut raw = raw_hardware(name)?;
    for (path, value) in settings {
        raw = raw.set(path, value, &format!("--set hardware.{path}={value}"))?;
    }
    let hardware = raw.check()?;
    let machine = Machine::compile(&hardware, fidelity);
    Ok((hardware, machine))
}

/// The device as it is sold, where fields of it were set.
///
/// # Errors
/// As [`hardware`].
pub fn plain(name: &str, machine: &Machine, edited: bool) -> Result<Machine, Diagnostic> {
    if !edited {
        return Ok(machine.clone());
    }
    Ok(Machine::compile(&hardware(name)?, machine.fidelity))
}
