//! How the elements of a stored tensor lie in a file.

use crate::dtype::Block;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $bits:literal;)*) => {
        /// The stored form of an element.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
            /// Blocks along the fastest extent.
            Block(Block),
        }

        impl Kind {
            /// Every kind that is not a block.
            pub const PLAIN: &[Self] = &[$(Self::$variant,)*];

            /// Name on the command line and in messages.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Block(block) => block.name(),
                }
            }

            const fn bits(self) -> Option<u64> {
                match self {
                    $(Self::$variant => Some($bits),)*
                    Self::Block(_) => None,
                }
            }
        }
    };
}

kinds! {
    /// 0 or 1 in a byte.
    Bool = "bool", 8;
    /// Unsigned integer of 8 bits.
    U8 = "uint8", 8;
    /// Signed integer of 8 bits.
    I8 = "int8", 8;
    /// Unsigned integer of 16 bits.
    U16 = "uint16", 16;
    /// Signed integer of 16 bits.
    I16 = "int16", 16;
    /// Unsigned integer of 32 bits.
    U32 = "uint32", 32;
    /// Signed integer of 32 bits.
    I32 = "int32", 32;
    /// Unsigned integer of 64 bits.
    U64 = "uint64", 64;
    /// Signed integer of 64 bits.
    I64 = "int64", 64;
    /// IEEE 754 binary16.
    F16 = "fp16", 16;
    /// bfloat16.
    Bf16 = "bf16", 16;
    /// IEEE 754 binary32.
    F32 = "fp32", 32;
    /// IEEE 754 binary64.
    F64 = "fp64", 64;
    /// 8-bit float of the OCP specification, 4-bit exponent, no infinities.
    F8E4m3 = "fp8-e4m3", 8;
    /// 8-bit float of the OCP specification, 5-bit exponent.
    F8E5m2 = "fp8-e5m2", 8;
    /// 8-bit exponent: a power of two.
    F8E8m0 = "fp8-e8m0", 8;
}

impl Kind {
    /// The kind of that name; blocks by the names of schemes, `float32` and the like as numpy has
    /// them.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = match name {
            "float16" | "f16" => "fp16",
            "float32" | "f32" => "fp32",
            "float64" | "f64" => "fp64",
            "bfloat16" => "bf16",
            "fp8" | "float8_e4m3fn" => "fp8-e4m3",
            "float8_e5m2" => "fp8-e5m2",
            other => other,
        };
        let plain = Self::PLAIN.iter().copied().find(|k| k.name() == name);
        plain.or_else(|| Block::from_name(name).map(Self::Block))
    }

    /// Bytes of so many elements in a row; `None` where they are no whole number of blocks or
    /// overflow.
    pub fn bytes(self, elements: u64) -> Option<u64> {
        let bytes = match self {
            Self::Block(block) => {
                let whole = elements.is_multiple_of(block.elements());
                (elements / block.elements()).checked_mul(block.bytes()).filter(|_| whole)
            }
            plain => (plain.bits()? / 8).checked_mul(elements),
        };
        bytes.filter(|&n| n < 1 << 63)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
