//! How a run computes: precision and attention.

use crate::codec::{Float, Overflow, slice};
use crate::exec::{Fast, Kernels, Rounded};
use crate::tensor::{TensorName, TensorType};
use crate::weights::{Checkpoint, WeightError, Weights};
use clap::ValueEnum;
use std::fs::File;
use std::num::NonZeroU64;
use std::str::FromStr;

/// Tokens of a KV block unless it is said otherwise.
const BLOCK: u64 = 16;

/// What is computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary32.
    F32,
    /// f32 inside kernels, bf16 between them.
    Bf16,
    /// f32 inside kernels, fp16 between them.
    Fp16,
}

impl Precision {
    const fn format(self) -> Option<Float> {
        match self {
            Self::F64 | Self::F32 => None,
            Self::Bf16 => Some(Float::BF16),
            Self::Fp16 => Some(Float::FP16),
        }
    }

    /// The weights as this precision stores them.
    pub fn weights(self, checkpoint: &Checkpoint<File>) -> Box<dyn Weights<f32> + '_> {
        Box::new(Stored { checkpoint, format: self.format() })
    }
}

struct Stored<'a> {
    checkpoint: &'a Checkpoint<File>,
    format: Option<Float>,
}

impl Weights<f32> for Stored<'_> {
    fn weight(
        &self,
        name: TensorName<'_>,
        ty: &TensorType,
        rows: u64,
    ) -> Result<Vec<f32>, WeightError> {
        let mut values = Weights::<f32>::weight(self.checkpoint, name, ty, rows)?;
        if let Some(format) = self.format {
            slice::round(format, &mut values, Overflow::Special);
        }
        Ok(values)
    }
}

/// How attention runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionArg {
    /// Its parts one behind the other.
    Naive,
    /// Over tiles of keys.
    Flash(Option<usize>),
    /// Over tiles, with the cache in blocks.
    Paged(NonZeroU64),
}

impl FromStr for AttentionArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, size) = text.split_once(':').map_or((text, None), |(k, s)| (k, Some(s)));
        let size = size.map(|s| s.parse::<NonZeroU64>().ok().filter(|n| n.get() <= 1 << 20));
        let size = match size {
            Some(None) => return Err("a size is a whole number from 1 to 1048576".to_owned()),
            Some(Some(size)) => Some(size),
            None => None,
        };
        let block = || NonZeroU64::new(BLOCK).ok_or_else(String::new);
        match (kind, size) {
            ("naive", None) => Ok(Self::Naive),
            ("flash", size) => Ok(Self::Flash(size.map(|n| n.get() as usize))),
            ("paged", Some(size)) => Ok(Self::Paged(size)),
            ("paged", None) => Ok(Self::Paged(block()?)),
            _ => Err("expected naive, flash, flash:TILE, paged or paged:BLOCK".to_owned()),
        }
    }
}

impl AttentionArg {
    /// Whether the parts have values of their own.
    pub const fn is_naive(self) -> bool {
        matches!(self, Self::Naive)
    }

    /// Tokens of a block of the cache.
    pub const fn block(self) -> Option<NonZeroU64> {
        match self {
            Self::Paged(block) => Some(block),
            Self::Naive | Self::Flash(_) => None,
        }
    }

    fn fast(self) -> Fast {
        match self {
            Self::Naive => Fast::naive(),
            Self::Flash(Some(tile)) => Fast::flash(tile),
            Self::Flash(None) | Self::Paged(_) => Fast::default(),
        }
    }
}

/// Kernels of f64.
pub fn kernels_f64(attention: &AttentionArg) -> Box<dyn Kernels<f64>> {
    Box::new(attention.fast())
}

/// Kernels of f32, rounded where the precision is lower.
pub fn kernels_f32(attention: &AttentionArg, precision: Precision) -> Box<dyn Kernels<f32>> {
    match precision.format() {
        Some(format) => Box::new(Rounded::new(attention.fast(), format)),
        None => Box::new(attention.fast()),
    }
}
