//! The format of a cache of keys and values: that of the case, or codes with scales.

use super::codes::Codes;
use super::dtype::Dtype;
use super::random::Random;
use crate::validate::{Array, CaseError, Layout, Stored};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a cache keeps of keys and values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheFormat {
    /// Format of cached keys and values, codes with scales; dtype unless given
    #[arg(id = "kv_dtype", long = "kv-dtype", value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Codes>,
    /// What shares a scale of keys and one of values under kv-dtype; all heads unless given
    #[arg(id = "kv_scales", long = "kv-scales", value_enum, requires = "kv_dtype")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scales: Option<CacheScales>,
}

/// What shares a scale of keys, and one of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheScales {
    /// All heads
    #[default]
    Tensor,
    /// One key and value head
    Head,
}

impl CacheFormat {
    /// Whether the cache has the format of the case.
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), CaseError> {
        if self.scales.is_some() && self.dtype.is_none() {
            let why = "kv_scales are of kv_dtype, which is not given".to_owned();
            return Err(CaseError::Number(why));
        }
        Ok(())
    }

    /// What shares a scale.
    pub(super) fn shared(&self) -> CacheScales {
        self.scales.unwrap_or_default()
    }

    /// The axis of the scales, of so many heads.
    pub(super) fn axis(&self, heads: u64) -> (&'static str, u64) {
        match self.shared() {
            CacheScales::Tensor => ("tensor", 1),
            CacheScales::Head => ("key head", heads),
        }
    }

    /// Which of the scales is a head's, in words.
    pub(super) fn index(&self) -> &'static str {
        match self.shared() {
            CacheScales::Tensor => "0",
            CacheScales::Head => "key head",
        }
    }

    /// How an element is stored.
    pub(super) fn stored(&self, dtype: Dtype) -> Stored {
        self.dtype.map_or(dtype.stored(), Codes::stored)
    }

    /// Random keys or values of a layout that has the format of the case.
    pub(super) fn random(&self, random: &mut Random, layout: Layout) -> Array {
        let Some(codes) = self.dtype else { return random.array(layout) };
        let values = (0..layout.elements()).map(|_| codes.random(random)).collect();
        Array { layout: Layout { stored: codes.stored(), ..layout }, values }
    }

    /// The format behind a word, where it is not the case's.
    pub(super) fn title(&self, before: &str) -> String {
        self.dtype.map_or(String::new(), |codes| format!(" {before} {codes}"))
    }
}
