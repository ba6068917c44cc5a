//! What elements become.

use crate::codec::{Float, Mx, Nvfp4, ScaleMode};
use crate::dtype::Block;
use crate::formats::Kind;
use crate::validate::Stored;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What elements become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Element {
    /// 8-bit integers, scale max |x| / 127
    #[default]
    Int8,
    /// 4-bit integers, scale max |x| / 7
    Int4,
    /// 4-bit integers from 0 to 15 with a zero point
    Int4Zp,
    /// e4m3fn, scale max |x| / 448
    Fp8E4m3,
    /// e5m2, scale max |x| / 57344
    Fp8E5m2,
    /// e4m3fn with an e8m0 scale
    Mxfp8,
    /// e5m2 with an e8m0 scale
    Mxfp8E5m2,
    /// e2m3 with an e8m0 scale
    Mxfp6E2m3,
    /// e3m2 with an e8m0 scale
    Mxfp6E3m2,
    /// e2m1 with an e8m0 scale
    Mxfp4,
    /// e2m1 with an e4m3 scale and a scale of the matrix
    Nvfp4,
    /// Bytes of ggml's q4_0
    #[value(name = "gguf-q4_0")]
    #[serde(rename = "gguf-q4_0")]
    GgufQ4_0,
    /// Bytes of ggml's q4_1
    #[value(name = "gguf-q4_1")]
    #[serde(rename = "gguf-q4_1")]
    GgufQ4_1,
    /// Bytes of ggml's q5_0
    #[value(name = "gguf-q5_0")]
    #[serde(rename = "gguf-q5_0")]
    GgufQ5_0,
    /// Bytes of ggml's q5_1
    #[value(name = "gguf-q5_1")]
    #[serde(rename = "gguf-q5_1")]
    GgufQ5_1,
    /// Bytes of ggml's q8_0
    #[value(name = "gguf-q8_0")]
    #[serde(rename = "gguf-q8_0")]
    GgufQ8_0,
    /// Bytes of ggml's mxfp4
    GgufMxfp4,
}

/// Which power of two a group gets under a microscaling format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerOfTwo {
    /// 2^(floor(log2 max |x|) - e), e the exponent of the largest element (OCP Microscaling 1.0, 6.3)
    #[default]
    Floor,
    /// 2^(ceil(log2 max |x|) - e), e the exponent of the largest element
    Ceil,
    /// as floor, max |x| first rounded, halves up, to the mantissa of an element
    Even,
    /// the smallest power of two at or above max |x| over the largest element (Blackwell's conversion)
    Rceil,
}

impl PowerOfTwo {
    pub(super) const fn mode(self) -> ScaleMode {
        match self {
            Self::Floor => ScaleMode::Floor,
            Self::Ceil => ScaleMode::Ceil,
            Self::Even => ScaleMode::Even,
            Self::Rceil => ScaleMode::RoundUp,
        }
    }
}

/// The explanation of a value on the command line.
pub(super) fn help(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.and_then(|v| v.get_help().map(ToString::to_string)).unwrap_or_default()
}

impl Element {
    /// The float under a power of two.
    pub(super) const fn mx(self) -> Option<Float> {
        match self {
            Self::Mxfp8 => Some(Float::E4M3FN),
            Self::Mxfp8E5m2 => Some(Float::E5M2),
            Self::Mxfp6E2m3 => Some(Float::E2M3),
            Self::Mxfp6E3m2 => Some(Float::E3M2),
            Self::Mxfp4 => Some(Float::E2M1),
            _ => None,
        }
    }

    /// The block of GGUF.
    pub(super) const fn block(self) -> Option<Block> {
        match self {
            Self::GgufQ4_0 => Some(Block::Q4_0),
            Self::GgufQ4_1 => Some(Block::Q4_1),
            Self::GgufQ5_0 => Some(Block::Q5_0),
            Self::GgufQ5_1 => Some(Block::Q5_1),
            Self::GgufQ8_0 => Some(Block::Q8_0),
            Self::GgufMxfp4 => Some(Block::Mxfp4),
            _ => None,
        }
    }

    /// How ggml's reference gets the codes of a block.
    pub(super) const fn block_says(self) -> Option<&'static str> {
        match self {
            Self::GgufQ4_0 => Some(
                "d is the element of largest magnitude over -8, in fp32, stored in fp16; a code is the whole part of \
                 x / d + 8.5, 15 at most.",
            ),
            Self::GgufQ5_0 => Some(
                "d is the element of largest magnitude over -16, in fp32, stored in fp16; a code is the whole part of \
                 x / d + 16.5, 31 at most.",
            ),
            Self::GgufQ4_1 => Some(
                "m is the smallest element, d is (max - m) / 15, both in fp32, stored in fp16; a code is the whole \
                 part of (x - m) / d + 0.5.",
            ),
            Self::GgufQ5_1 => Some(
                "m is the smallest element, d is (max - m) / 31, both in fp32, stored in fp16; a code is the whole \
                 part of (x - m) / d + 0.5.",
            ),
            Self::GgufQ8_0 => Some(
                "d is max |x| / 127, in fp32, stored in fp16; a code is x / d to the nearest, halves away from zero.",
            ),
            Self::GgufMxfp4 => Some(
                "The scale is 2^(floor(log2 max |x|) - 2), stored as its exponent plus 127; a code is the nearest of \
                 e2m1, of two as near that of smaller magnitude.",
            ),
            _ => None,
        }
    }

    /// The float of 8 bits under a scale in fp32.
    pub(super) const fn float(self) -> Option<Float> {
        match self {
            Self::Fp8E4m3 => Some(Float::E4M3FN),
            Self::Fp8E5m2 => Some(Float::E5M2),
            _ => None,
        }
    }

    /// Neighbours that share a scale, where the format says so.
    pub(super) const fn group(self) -> Option<u64> {
        match (self, self.mx(), self.block()) {
            (_, Some(_), _) => Some(Mx::GROUP as u64),
            (_, _, Some(block)) => Some(block.elements()),
            (Self::Nvfp4, ..) => Some(Nvfp4::GROUP as u64),
            _ => None,
        }
    }

    /// The code of the largest magnitude under a scale in fp32.
    pub(super) fn top(self) -> f64 {
        match self {
            Self::Int8 => 127.0,
            Self::Int4Zp => 15.0,
            _ => self.float().map_or(7.0, Float::largest),
        }
    }

    /// How a code is stored.
    pub(super) fn codes(self) -> Stored {
        match self {
            Self::Int8 => Stored::Integer(Kind::I8),
            Self::Int4 => Stored::Nibbles { signed: true },
            _ => match self.float().or(self.mx()) {
                Some(float) if float.bits() > 4 => Stored::Float(float),
                _ => Stored::Nibbles { signed: false },
            },
        }
    }

    /// How a scale is stored.
    pub(super) const fn scales(self) -> Stored {
        Stored::Float(match self {
            Self::Nvfp4 => Float::E4M3FN,
            _ if self.mx().is_some() => Float::E8M0,
            _ => Float::FP32,
        })
    }
}
