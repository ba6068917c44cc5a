//! The codec of a format, whichever kind it is.

use super::float::{Float, Overflow};
use super::integer::Integer;
use crate::dtype::Format;

/// The codec of one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Number {
    /// Sign, exponent, mantissa.
    Float(Float),
    /// Two's complement.
    Integer(Integer),
}

impl Number {
    /// The codec of a format.
    pub const fn of(format: Format) -> Self {
        match format {
            Format::Fp32 => Self::Float(Float::FP32),
            Format::Tf32 => Self::Float(Float::TF32),
            Format::Bf16 => Self::Float(Float::BF16),
            Format::Fp16 => Self::Float(Float::FP16),
            Format::Fp8E4m3 => Self::Float(Float::E4M3FN),
            Format::Fp8E5m2 => Self::Float(Float::E5M2),
            Format::Fp6E2m3 => Self::Float(Float::E2M3),
            Format::Fp6E3m2 => Self::Float(Float::E3M2),
            Format::Fp4E2m1 => Self::Float(Float::E2M1),
            Format::Int32 => Self::Integer(Integer::INT32),
            Format::Int8 => Self::Integer(Integer::INT8),
            Format::Int4 => Self::Integer(Integer::INT4),
            Format::Int3 => Self::Integer(Integer::INT3),
            Format::Int2 => Self::Integer(Integer::INT2),
        }
    }

    /// Bits of a pattern. TF32 has 19; in memory it is an fp32 whose lower 13 are zero.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Float(float) => float.bits(),
            Self::Integer(integer) => integer.bits(),
        }
    }

    /// The value of a pattern.
    pub fn decode(self, bits: u32) -> f64 {
        match self {
            Self::Float(float) => float.decode(bits),
            Self::Integer(integer) => integer.decode(bits) as f64,
        }
    }

    /// The pattern nearest to `x`; integers saturate whatever `overflow` says.
    pub fn encode(self, x: f64, overflow: Overflow) -> u32 {
        match self {
            Self::Float(float) => float.encode(x, overflow),
            Self::Integer(integer) => integer.encode(x),
        }
    }

    /// `x` as the format has it.
    pub fn round(self, x: f64, overflow: Overflow) -> f64 {
        self.decode(self.encode(x, overflow))
    }

    /// The largest finite number.
    pub fn largest(self) -> f64 {
        match self {
            Self::Float(float) => float.largest(),
            Self::Integer(integer) => integer.largest() as f64,
        }
    }
}

impl Float {
    /// The codec of a format; `None` for integers. `fp8-e4m3` is e4m3fn.
    pub const fn of(format: Format) -> Option<Self> {
        match Number::of(format) {
            Number::Float(float) => Some(float),
            Number::Integer(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_codec_of_its_width() {
        for &format in Format::ALL {
            let bits = if format == Format::Tf32 { 19 } else { format.bits() };
            assert_eq!(Number::of(format).bits(), bits, "{format}");
        }
    }
}
