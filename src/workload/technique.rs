//! The values that a scenario's techniques take, by name.

use crate::diagnostic::{Diagnostic, nearest_hint};
use crate::dtype::Scheme;
use crate::model::{AttentionKernel, FusionSet};
use crate::op::{ParseRoutingError, Routing};
use crate::yaml::{Position, Source, Spanned};

/// Values of `attention`; the first is the default.
pub(super) const ATTENTION: &[(&str, AttentionKernel)] =
    &[("flash", AttentionKernel::Flash), ("naive", AttentionKernel::Naive)];

/// Values of `fusion`; the first is the default.
pub(super) const FUSION: &[(&str, FusionSet)] =
    &[("default", FusionSet::Default), ("none", FusionSet::None)];

/// The value that a field names; the first where there is none.
pub(super) fn choice<T: Copy>(
    field: Option<&Spanned<String>>,
    name: &str,
    values: &[(&str, T)],
    source: &Source,
) -> Result<T, Diagnostic> {
    let Some(field) = field else { return Ok(values[0].1) };
    named(&field.value, name, values).map_err(|d| d.at(source.place(Position::from(field))))
}

/// The value with this name.
pub(super) fn named<T: Copy>(
    text: &str,
    what: &str,
    values: &[(&str, T)],
) -> Result<T, Diagnostic> {
    let found = values.iter().find(|(name, _)| *name == text);
    let unknown = || Diagnostic::unknown(what, text, values.iter().map(|(name, _)| *name));
    found.map(|(_, value)| *value).ok_or_else(unknown)
}

/// A scheme with other zeros in its weights.
pub(super) fn with_sparsity(base: &Scheme, sparsity: &str) -> Result<Scheme, Diagnostic> {
    base.with_sparsity(sparsity).map_err(|e| {
        let hint = "`dense`, `2:4`, or a density such as 0.5; on weights in plain formats or in \
                    groups (`w4a16-g128`)";
        Diagnostic::new(format!("sparsity `{}`: {}", crate::diagnostic::clip(sparsity), e.why))
            .hint(hint)
    })
}

/// A scheme with the KV cache in another format.
pub(super) fn with_kv(base: &Scheme, format: &str) -> Result<Scheme, Diagnostic> {
    base.with_kv(format).map_err(|_| {
        Diagnostic::new(format!("unknown KV cache format `{}`", crate::diagnostic::clip(format)))
            .hint(nearest_hint(format, &["16", "8", "4", "fp8", "bf16"]))
    })
}

/// A routing by name.
pub(super) fn parse_routing(text: &str) -> Result<Routing, Diagnostic> {
    text.parse().map_err(|e: ParseRoutingError| Diagnostic::new(e.to_string()))
}
