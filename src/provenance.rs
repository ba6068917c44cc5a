//! Where a number comes from: its basis and its citation.

use serde::{Deserialize, Serialize};

/// How a value is known, strongest first; a result carries the weakest of its inputs.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Printed by the vendor.
    Datasheet,
    /// Timed on the device by a named party.
    Measured,
    /// Fitted to measurements of the device.
    Calibrated,
    /// Computed from other quoted values by a stated formula.
    Derived,
    /// A guess, a what-if, or a figure whose source is doubtful.
    Assumed,
}

impl Basis {
    /// The weaker of two: what a result computed from both can claim.
    pub fn weakest(self, other: Self) -> Self {
        self.max(other)
    }

    /// Lower-case name, as in YAML and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Datasheet => "datasheet",
            Self::Measured => "measured",
            Self::Calibrated => "calibrated",
            Self::Derived => "derived",
            Self::Assumed => "assumed",
        }
    }
}

impl std::fmt::Display for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A value with its basis and the text of its citation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quoted<T> {
    /// The value, in SI.
    pub value: T,
    /// How it is known.
    pub basis: Basis,
    /// Who says so.
    pub citation: std::sync::Arc<str>,
    /// A caveat that belongs to the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<std::sync::Arc<str>>,
}
