//! Formats of kernels.

use crate::codec::Float;
use crate::validate::Stored;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Format of a kernel's inputs and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// bfloat16
    #[default]
    Bf16,
    /// IEEE 754 binary16
    Fp16,
    /// IEEE 754 binary32
    #[value(alias = "f32")]
    Fp32,
}

impl Dtype {
    /// The codec.
    pub const fn float(self) -> Float {
        match self {
            Self::Bf16 => Float::BF16,
            Self::Fp16 => Float::FP16,
            Self::Fp32 => Float::FP32,
        }
    }

    /// How it is stored.
    pub const fn stored(self) -> Stored {
        Stored::Float(self.float())
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.stored().kind().name())
    }
}
