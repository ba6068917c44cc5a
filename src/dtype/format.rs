//! The element formats, one row each.

use serde::{Deserialize, Serialize};

/// Floating point or integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatKind {
    /// Sign, exponent, mantissa.
    Float,
    /// Two's complement, always used with a scale.
    Integer,
}

macro_rules! formats {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $kind:ident, $stored:literal bits;)*) => {
        /// A number format of one element.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[repr(u8)]
        pub enum Format {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Format {
            /// Every format, in declaration order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name used in YAML, on the command line and in results.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Bits that one stored element takes, without scales.
            pub const fn bits(self) -> u32 {
                match self { $(Self::$variant => $stored,)* }
            }

            /// Floating point or integer.
            pub const fn kind(self) -> FormatKind {
                match self { $(Self::$variant => FormatKind::$kind,)* }
            }
        }
    };
}

formats! {
    /// IEEE 754 binary32.
    Fp32 = "fp32", Float, 32 bits;
    /// NVIDIA TF32: stored in 32 bits, multiplied with an 8-bit exponent and a 10-bit mantissa.
    Tf32 = "tf32", Float, 32 bits;
    /// bfloat16: 8-bit exponent, 7-bit mantissa.
    Bf16 = "bf16", Float, 16 bits;
    /// IEEE 754 binary16.
    Fp16 = "fp16", Float, 16 bits;
    /// 8-bit float, 4-bit exponent, 3-bit mantissa (OCP 8-bit floating point specification).
    Fp8E4m3 = "fp8-e4m3", Float, 8 bits;
    /// 8-bit float, 5-bit exponent, 2-bit mantissa (OCP 8-bit floating point specification).
    Fp8E5m2 = "fp8-e5m2", Float, 8 bits;
    /// 6-bit float, 2-bit exponent, 3-bit mantissa (OCP microscaling specification's element).
    Fp6E2m3 = "fp6-e2m3", Float, 6 bits;
    /// 6-bit float, 3-bit exponent, 2-bit mantissa (OCP microscaling specification's element).
    Fp6E3m2 = "fp6-e3m2", Float, 6 bits;
    /// 4-bit float, 2-bit exponent, 1-bit mantissa (OCP microscaling specification's element).
    Fp4E2m1 = "fp4-e2m1", Float, 4 bits;
    /// 32-bit integer: token ids.
    Int32 = "int32", Integer, 32 bits;
    /// 8-bit integer.
    Int8 = "int8", Integer, 8 bits;
    /// 4-bit integer.
    Int4 = "int4", Integer, 4 bits;
    /// 3-bit integer.
    Int3 = "int3", Integer, 3 bits;
    /// 2-bit integer.
    Int2 = "int2", Integer, 2 bits;
}

impl Format {
    /// How many formats there are: the length of tables indexed by `format as usize`.
    pub const COUNT: usize = Self::ALL.len();

    /// The format of that name; `fp8` alone is e4m3, as in vLLM and TensorRT-LLM.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "fp8" => Some(Self::Fp8E4m3),
            _ => Self::ALL.iter().copied().find(|f| f.name() == name),
        }
    }

    /// Whether a tensor in this format carries scales.
    pub const fn is_scaled(self) -> bool {
        self.bits() <= 8
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
