//! Blocks of GGUF as kernels misread them.

use super::Misread;
use crate::codec::block::dequantize;
use crate::dtype::Block;

/// Where a block of GGUF keeps what kernels misread.
pub(super) struct Anatomy {
    pub(super) block: Block,
    /// Blocks that lie together, their scales first.
    blocks: u64,
    /// The scale.
    scale: Scale,
    /// The scale of the minima, fp16.
    min: Option<usize>,
    /// Bytes that hold two elements of 4 bits.
    nibbles: std::ops::Range<usize>,
    /// Such bytes that lie together: the elements of their lower halves, then those of the upper ones.
    together: usize,
}

/// Where a scale lies, and in which form.
#[derive(Debug, Clone, Copy)]
enum Scale {
    /// fp16 at a byte.
    Half(usize),
    /// A power of two in the first byte.
    Power,
    /// e4m3 without a sign in the first bytes, one for each block.
    E4m3,
}

const fn anatomy(
    block: Block,
    scale: usize,
    min: Option<usize>,
    nibbles: std::ops::Range<usize>,
    together: usize,
) -> Anatomy {
    Anatomy { block, blocks: 1, scale: Scale::Half(scale), min, nibbles, together }
}

const fn fp4(
    block: Block,
    (blocks, scale): (u64, Scale),
    nibbles: std::ops::Range<usize>,
    together: usize,
) -> Anatomy {
    Anatomy { block, blocks, scale, min: None, nibbles, together }
}

/// Blocks of GGUF that cases are made of (ggml-org/llama.cpp, `ggml/src/ggml-common.h`).
pub(super) const BLOCKS: &[Anatomy] = &[
    anatomy(Block::Q4_0, 0, None, 2..18, 16),
    anatomy(Block::Q4_1, 0, Some(2), 4..20, 16),
    anatomy(Block::Q5_0, 0, None, 6..22, 16),
    anatomy(Block::Q5_1, 0, Some(2), 8..24, 16),
    anatomy(Block::Q8_0, 0, None, 0..0, 16),
    anatomy(Block::Q2K, 80, Some(82), 0..0, 16),
    anatomy(Block::Q3K, 108, None, 0..0, 16),
    anatomy(Block::Q4K, 0, Some(2), 16..144, 32),
    anatomy(Block::Q5K, 0, Some(2), 48..176, 32),
    anatomy(Block::Q6K, 208, None, 0..0, 16),
    anatomy(Block::Iq4Nl, 0, None, 2..18, 16),
    anatomy(Block::Iq4Xs, 0, None, 8..136, 16),
    fp4(Block::Mxfp4, (1, Scale::Power), 1..17, 16),
    fp4(Block::Nvfp4, (4, Scale::E4m3), 4..36, 8),
];

/// The row of a block that cases are made of.
pub(super) fn of(block: Block) -> &'static Anatomy {
    let row = BLOCKS.iter().find(|a| a.block == block);
    row.expect("invariant: a case has a block of the table")
}

/// The numbers of blocks, as a kernel reads them that misreads in some way.
pub(super) fn block_numbers(block: Block, bytes: &[f64], misread: Misread) -> Vec<f64> {
    let anatomy = of(block);
    let mut bytes: Vec<u8> = bytes.iter().map(|&b| b as u8).collect();
    for unit in bytes.chunks_exact_mut(anatomy.bytes() as usize) {
        anatomy.spoil(unit, misread);
    }
    let elements = bytes.len() / block.bytes() as usize * block.elements() as usize;
    let mut out = vec![0.0; elements];
    dequantize(block, &bytes, &mut out).expect("invariant: whole blocks of a known type");
    out.into_iter().map(f64::from).collect()
}

impl Anatomy {
    /// Elements of what lies together.
    pub(super) const fn elements(&self) -> u64 {
        self.blocks * self.block.elements()
    }

    /// Its bytes.
    pub(super) const fn bytes(&self) -> u64 {
        self.blocks * self.block.bytes()
    }

    /// The bytes from which right decoding gives what a kernel reads that misreads them.
    fn spoil(&self, block: &mut [u8], misread: Misread) {
        let put = |block: &mut [u8], at: usize, half: u16| {
            block[at..at + 2].copy_from_slice(&half.to_le_bytes());
        };
        match (misread, self.min) {
            // 1 and 0 in fp16.
            (Misread::ScaleMissing, _) => match self.scale {
                Scale::Half(at) => put(block, at, 0x3c00),
                Scale::Power => block[0] = 127,
                Scale::E4m3 => block[..self.blocks as usize].fill(0x38),
            },
            (Misread::ScaleTwice, _) => match self.scale {
                Scale::Half(_) => {}
                Scale::Power => block[0] = block[0].saturating_add(1),
                Scale::E4m3 => block[..self.blocks as usize].iter_mut().for_each(twice),
            },
            (Misread::ZeroMissing, Some(min)) => put(block, min, 0),
            (Misread::NibblesSwapped, _) => {
                block[self.nibbles.clone()].iter_mut().for_each(|b| *b = b.rotate_left(4));
            }
            (Misread::HalvesInterleaved, _) => {
                block[self.nibbles.clone()].chunks_exact_mut(self.together).for_each(interleave);
            }
            _ => {}
        }
    }
}

/// Doubles an e4m3 without a sign that is at most 224.
fn twice(bits: &mut u8) {
    *bits = match *bits {
        subnormal @ 0..8 => 2 * subnormal,
        normal => (normal + 8).min(0x7e),
    };
}

/// Puts element `i` where the lower (even `i`) or upper half of byte `i / 2` was.
fn interleave(bytes: &mut [u8]) {
    let old = bytes.to_vec();
    let element = |i: usize| old[i / 2] >> (4 * (i % 2)) & 15;
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = element(i) | element(i + old.len()) << 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: byte `i` has elements `i` and `i + 4`; read as neighbours, they are `2 i` and `2 i + 1`.
    #[test]
    fn interleaved_halves_are_neighbours() {
        let mut bytes = [0x40, 0x51, 0x62, 0x73];
        interleave(&mut bytes);
        // Elements 0, 4, 1, 5 in the lower halves, 2, 6, 3, 7 in the upper ones.
        assert_eq!(bytes, [0x20, 0x64, 0x31, 0x75]);
    }

    #[test]
    fn every_block_with_two_elements_a_byte_shows_them_misread() {
        for anatomy in BLOCKS.iter().filter(|a| !a.nibbles.is_empty()) {
            let bytes: Vec<f64> = (0..anatomy.bytes())
                .map(|i| if i % 2 == 0 { 17.0 } else { (i * 37 % 60) as f64 })
                .collect();
            let right = block_numbers(anatomy.block, &bytes, Misread::Nothing);
            for misread in [Misread::HalvesInterleaved, Misread::NibblesSwapped] {
                let wrong = block_numbers(anatomy.block, &bytes, misread);
                let differ = right.iter().zip(&wrong).filter(|(a, b)| a != b).count();
                assert!(differ > right.len() / 4, "{} {misread:?}: {differ}", anatomy.block.name());
            }
        }
    }
}
