//! Models: a decoder, alone or behind an encoder, as data, from our YAML or a Hugging Face `config.json`.
//!
//! To add a model: one file in `workloads/models/`. To add a family of `config.json`: one file in
//! `import/` and one line in its list.

mod architecture;
pub mod bundled;
mod check;
pub mod checkpoint;
mod encoder;
mod graphs;
pub mod import;
mod output;
mod parameters;
mod raw;
mod read;
mod what_if;
mod wiring;
mod write;

pub use architecture::{
    Activation, Architecture, Attention, Block, Embedding, Encoder, EncoderInput, Experts, Ffn,
    Groups, Head, Latent, LatentForm, Norm, NormKind, Pairing, Position, QkNorm, RopeScaling,
    Scoring,
};
pub use graphs::Graphs;
pub use output::Output;
pub use parameters::{LayerParameters, Parameters};
pub use what_if::{HeadForm, WhatIf, WindowForm};
pub use wiring::{AttentionKernel, BuildOptions, FusionSet};

use crate::diagnostic::Diagnostic;
use crate::yaml::Source;

/// Loads a model by bundled id, or from a file that `lookup` reads.
///
/// A name with a slash or a known extension is a path: `.json` is read as a Hugging Face
/// `config.json`, anything else as our YAML.
///
/// # Errors
/// An unknown id, whatever `lookup` refuses, or a file that cannot be read as a model.
pub fn load(
    name: &str,
    lookup: &dyn Fn(&str) -> Result<Source, Diagnostic>,
) -> Result<Architecture, Diagnostic> {
    if bundled::source(name).is_some() || !is_path(name) {
        return load_bundled(name);
    }
    let source = lookup(name)?;
    if name.to_ascii_lowercase().ends_with(".json") {
        return import::config_source(&source, &id_of(name));
    }
    Architecture::from_yaml(&source)
}

/// Loads a bundled model.
///
/// # Errors
/// An unknown id; the closest ones are offered.
pub fn load_bundled(id: &str) -> Result<Architecture, Diagnostic> {
    match bundled::source(id) {
        Some(source) => Architecture::from_yaml(&source),
        None => Err(Diagnostic::unknown("model", id, bundled::ids())),
    }
}

/// JSON schema of a model file, for editors (`docs/schema/model.json`).
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(raw::RawModel).to_value()
}

fn is_path(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let extension = [".yaml", ".yml", ".json"].iter().any(|e| lower.ends_with(e));
    extension || name.contains(['/', '\\'])
}

/// An id from a path: the file's stem, or of `config.json` the folder's name, in legal characters.
pub fn id_of(path: &str) -> String {
    let mut parts = path.rsplit(['/', '\\']);
    let file = parts.next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let name = if stem == "config" { parts.next().unwrap_or(stem) } else { stem };
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let id: String = name.to_ascii_lowercase().chars().map(legal).take(64).collect();
    let id = id.trim_matches(['-', '.']);
    if id.is_empty() { "config".to_owned() } else { id.to_owned() }
}

#[cfg(test)]
mod tests;
