//! Block formats, one row each: a fixed number of neighbours of a row in a fixed number of bytes,
//! scales and minima included.

use super::format::Format;

macro_rules! blocks {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $elements:literal in $bytes:literal bytes,
       + $tensor:literal, $ops:literal ops, $element:expr;)*) => {
        /// A format of whole blocks along a row.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Block {
            $($(#[$doc])* $variant,)*
        }

        impl Block {
            /// Every block format, in declaration order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Name in schemes and results.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Elements of a block.
            pub const fn elements(self) -> u64 {
                match self { $(Self::$variant => $elements,)* }
            }

            /// Bytes of a block.
            pub const fn bytes(self) -> u64 {
                match self { $(Self::$variant => $bytes,)* }
            }

            /// Bytes that the whole tensor carries besides its blocks.
            pub const fn tensor_bytes(self) -> u64 {
                match self { $(Self::$variant => $tensor,)* }
            }

            /// Additions and multiplications that turn one stored element into a number, with its
            /// share of what is computed once per group; unpacking counts nothing (A10).
            pub const fn conversion_ops(self) -> f64 {
                match self { $(Self::$variant => $ops,)* }
            }

            /// The format that an engine multiplies blocks of it in; `None` where no engine does.
            pub const fn element(self) -> Option<Format> {
                match self { $(Self::$variant => $element,)* }
            }
        }
    };
}

// Sizes of the GGUF types: block structures of ggml (ggml-common.h, ggml-org/llama.cpp). Sizes of
// the microscaling types: OCP Microscaling Formats specification 1.0; NVFP4: NVIDIA, "Introducing
// NVFP4 for efficient and accurate low-precision inference", 2025.
blocks! {
    /// 32 x 4 bits, an fp16 scale: `d (q - 8)`.
    Q4_0 = "q4_0", 32 in 18 bytes, + 0, 2.0 ops, None;
    /// 32 x 4 bits, fp16 scale and minimum: `d q + m`.
    Q4_1 = "q4_1", 32 in 20 bytes, + 0, 2.0 ops, None;
    /// 32 x 5 bits, an fp16 scale: `d (q - 16)`.
    Q5_0 = "q5_0", 32 in 22 bytes, + 0, 2.0 ops, None;
    /// 32 x 5 bits, fp16 scale and minimum: `d q + m`.
    Q5_1 = "q5_1", 32 in 24 bytes, + 0, 2.0 ops, None;
    /// 32 x 8 bits, an fp16 scale: `d q`.
    Q8_0 = "q8_0", 32 in 34 bytes, + 0, 1.0 ops, None;
    /// 256 x 2 bits; per 16 a 4-bit scale and minimum; fp16 scales of both: 2 products per 16.
    Q2K = "q2_k", 256 in 84 bytes, + 0, 2.125 ops, None;
    /// 256 x 3 bits; per 16 a 6-bit scale with offset; an fp16 scale: 2 operations per 16.
    Q3K = "q3_k", 256 in 110 bytes, + 0, 2.125 ops, None;
    /// 256 x 4 bits; per 32 a 6-bit scale and minimum; fp16 scales of both: 2 products per 32.
    Q4K = "q4_k", 256 in 144 bytes, + 0, 2.0625 ops, None;
    /// 256 x 5 bits; per 32 a 6-bit scale and minimum; fp16 scales of both: 2 products per 32.
    Q5K = "q5_k", 256 in 176 bytes, + 0, 2.0625 ops, None;
    /// 256 x 6 bits; per 16 an 8-bit scale; an fp16 scale: 1 product per 16.
    Q6K = "q6_k", 256 in 210 bytes, + 0, 2.0625 ops, None;
    /// 32 x 4 bits into a table of 16 values, an fp16 scale: `d table[q]`.
    Iq4Nl = "iq4_nl", 32 in 18 bytes, + 0, 1.0 ops, None;
    /// 256 x 4 bits into that table; per 32 a 6-bit scale with offset; an fp16 scale.
    Iq4Xs = "iq4_xs", 256 in 136 bytes, + 0, 1.0625 ops, None;
    /// 32 x fp4-e2m1 and a power of two of 8 bits.
    Mxfp4 = "mxfp4", 32 in 17 bytes, + 0, 1.0 ops, Some(Format::Fp4E2m1);
    /// 32 x fp6-e2m3 and a power of two of 8 bits.
    Mxfp6E2m3 = "mxfp6", 32 in 25 bytes, + 0, 1.0 ops, Some(Format::Fp6E2m3);
    /// 32 x fp6-e3m2 and a power of two of 8 bits.
    Mxfp6E3m2 = "mxfp6-e3m2", 32 in 25 bytes, + 0, 1.0 ops, Some(Format::Fp6E3m2);
    /// 32 x fp8-e4m3 and a power of two of 8 bits.
    Mxfp8E4m3 = "mxfp8", 32 in 33 bytes, + 0, 1.0 ops, Some(Format::Fp8E4m3);
    /// 32 x fp8-e5m2 and a power of two of 8 bits.
    Mxfp8E5m2 = "mxfp8-e5m2", 32 in 33 bytes, + 0, 1.0 ops, Some(Format::Fp8E5m2);
    /// 16 x fp4-e2m1 and an fp8-e4m3 scale; one fp32 scale of the tensor: 1 product per 16.
    Nvfp4 = "nvfp4", 16 in 9 bytes, + 4, 1.0625 ops, Some(Format::Fp4E2m1);
}

impl Block {
    /// The block format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "mxfp6-e2m3" => Some(Self::Mxfp6E2m3),
            "mxfp8-e4m3" => Some(Self::Mxfp8E4m3),
            _ => Self::ALL.iter().copied().find(|b| b.name() == name),
        }
    }

    /// Exact bytes of a tensor: each row takes whole blocks, the last one padded.
    pub fn total_bytes(self, rows: u64, columns: u64) -> f64 {
        let per_row = columns.div_ceil(self.elements()) * self.bytes();
        rows as f64 * per_row as f64 + self.tensor_bytes() as f64
    }

    /// Bits of an element in a block that is full.
    pub fn bits_per_weight(self) -> f64 {
        8.0 * self.bytes() as f64 / self.elements() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of llama.cpp's documentation and of the microscaling specification.
    #[test]
    fn bits_per_weight_are_the_published_ones() {
        let published = [
            (Block::Q4_0, 4.5),
            (Block::Q4_1, 5.0),
            (Block::Q5_0, 5.5),
            (Block::Q5_1, 6.0),
            (Block::Q8_0, 8.5),
            (Block::Q2K, 2.625),
            (Block::Q3K, 3.4375),
            (Block::Q4K, 4.5),
            (Block::Q5K, 5.5),
            (Block::Q6K, 6.5625),
            (Block::Iq4Nl, 4.5),
            (Block::Iq4Xs, 4.25),
            (Block::Mxfp4, 4.25),
            (Block::Mxfp6E2m3, 6.25),
            (Block::Mxfp8E4m3, 8.25),
            (Block::Nvfp4, 4.5),
        ];
        for (block, bits) in published {
            assert_eq!(block.bits_per_weight(), bits, "{}", block.name());
        }
        assert!(Block::ALL.iter().all(|b| Block::from_name(b.name()) == Some(*b)));
    }

    #[test]
    fn rows_are_padded_to_whole_blocks() {
        assert_eq!(Block::Q4K.total_bytes(2, 257), 2.0 * 288.0);
        assert_eq!(Block::Nvfp4.total_bytes(3, 32), 3.0 * 18.0 + 4.0);
    }
}
