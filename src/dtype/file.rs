//! The scheme file: a base scheme, and what some layers or tensors take in its place.

use super::overrides::{Layers, Override};
use super::scheme::Scheme;
use crate::diagnostic::{Diagnostic, clip};
use crate::yaml::{Position, Source, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where a text comes from that is not given itself: a file by its path.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<Source, Diagnostic>;

/// A scheme file as YAML has it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawScheme {
    /// Name in results; the file's unless stated.
    #[schemars(with = "Option<String>")]
    name: Option<Spanned<String>>,
    /// Scheme of everything that no override is for, for instance `w4a16-g128-kv8`.
    #[schemars(with = "String")]
    base: Spanned<String>,
    /// What some tensors take in its place; the last that is for a tensor holds.
    overrides: Vec<RawOverride>,
}

/// One override as YAML has it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOverride {
    /// Layers from 0, or from the last, which is -1: `[0, 1, -1]`, `["0..3", "-4..-1"]`.
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    layers: Option<Spanned<Vec<String>>>,
    /// Tensors by name, `*` for any text: `attn.*`, `ffn.down`, `experts.*`, `head.logits`; all projections
    /// unless stated.
    #[schemars(with = "Option<String>")]
    tensors: Option<Spanned<String>>,
    /// The scheme whose weights (and, for projections, activations) they take.
    #[schemars(with = "String")]
    quant: Spanned<String>,
}

impl Scheme {
    /// A scheme by name, or by the path of a scheme file.
    ///
    /// # Errors
    /// An unknown name, an unreadable file, or a scheme file that does not check.
    pub fn load(text: &str, lookup: Lookup<'_>) -> Result<Self, Diagnostic> {
        let is_path = [".yaml", ".yml"].iter().any(|end| text.ends_with(end));
        if is_path || text.contains(['/', '\\']) {
            return Self::from_yaml(&lookup(text)?);
        }
        named(text)
    }

    /// Reads a scheme file.
    ///
    /// # Errors
    /// Malformed YAML, an unknown or missing field, a scheme that does not exist or is none for single
    /// tensors, layers that are no numbers; each with its place.
    pub fn from_yaml(source: &Source) -> Result<Self, Diagnostic> {
        let raw: RawScheme = source.parse()?;
        let at = |text: &Spanned<String>, d: Diagnostic| d.at(source.place(Position::from(text)));
        let base = named(&raw.base.value).map_err(|d| at(&raw.base, d))?;
        let overrides = raw.overrides.iter().map(|o| read(o, source));
        let name = match &raw.name {
            Some(name) if is_name(&name.value) => name.value.clone(),
            Some(name) => {
                let message = format!("`{}` does not name a scheme", clip(&name.value));
                let hint = "up to 64 letters, digits, dashes, underscores or dots";
                return Err(at(name, Diagnostic::new(message).hint(hint)));
            }
            None => stem(&source.name).to_owned(),
        };
        Ok(base.with_overrides(name, overrides.collect::<Result<_, _>>()?))
    }
}

fn named(text: &str) -> Result<Scheme, Diagnostic> {
    text.parse::<Scheme>().map_err(|e| Diagnostic::new(e.to_string()).hint(e.hint))
}

fn read(raw: &RawOverride, source: &Source) -> Result<Override, Diagnostic> {
    let place = source.place(Position::from(&raw.quant));
    let scheme = named(&raw.quant.value).map_err(|d| d.at(place.clone()))?;
    let refuse = |why: &str, hint: &str| {
        let message = format!("`{}` is no override: {why}", clip(&raw.quant.value));
        Diagnostic::new(message).at(place.clone()).hint(hint)
    };
    if scheme.mix.is_some() {
        let hint = "name the type itself, for instance `wq6_ka16`";
        return Err(refuse("a GGUF mix spans the whole model", hint));
    }
    if raw.quant.value.contains("-kv") {
        return Err(refuse("the KV cache has one format", "put `-kv...` behind the base"));
    }
    if raw.layers.is_none() && raw.tensors.is_none() {
        return Err(refuse("it is for every tensor", "add `layers: [0, -1]` or `tensors: attn.*`"));
    }
    let layers = match &raw.layers {
        None => vec![],
        Some(list) => {
            let stretches = list.value.iter().map(|text| stretch(text));
            let read = stretches.collect::<Result<Vec<_>, _>>();
            let read = read.map_err(|d| d.at(source.place(Position::from(list))))?;
            if read.is_empty() {
                let message = "layers: expected at least one";
                let d = Diagnostic::new(message).hint("for instance `layers: [0, -1]`");
                return Err(d.at(source.place(Position::from(list))));
            }
            read
        }
    };
    let tensors = raw.tensors.as_ref().map(|t| t.value.clone());
    Ok(Override { layers, tensors, scheme, place })
}

/// `3`, `-1`, `0..3`, `-4..-1`.
fn stretch(text: &str) -> Result<Layers, Diagnostic> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |t: &str| t.trim().parse::<i64>().ok();
    match (number(from), number(to)) {
        (Some(from), Some(to)) if (from < 0) != (to < 0) || from <= to => Ok(Layers { from, to }),
        _ => {
            let message =
                format!("layers: `{}` is neither a layer nor a stretch of them", clip(text));
            Err(Diagnostic::new(message).hint("for instance `layers: [0, 1, \"-2..-1\"]`"))
        }
    }
}

fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.len() <= 64 && text.chars().all(legal)
}

fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}
