//! Blocks of neighbours that share scales: ggml's types as bytes (ggml-org/llama.cpp,
//! `ggml/src/ggml-common.h` and `ggml-quants.c`).
//!
//! Decoding is ggml's arithmetic in f32, bit for bit. Encoding of `q4_0` to `q8_0` and `mxfp4` is, too; the
//! other types have many good encodings, found here by a search of our own (A95).
//!
//! To add a type: its functions in a file of its family, one row of [`codec`].

mod affine;
mod centred;
mod fp4;
mod iq4;
mod k;
mod legacy;
mod planes;
mod search;

use crate::dtype::Block;

/// Bytes that cannot be blocks, or blocks that have no codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// No codec.
    #[error("{0} blocks have no bytes of a known layout")]
    NoCodec(&'static str),
    /// Bytes and elements differ.
    #[error("{bytes} bytes are no {elements} elements of {name}")]
    Length {
        /// The type.
        name: &'static str,
        /// Bytes given.
        bytes: usize,
        /// Elements wanted.
        elements: usize,
    },
    /// A number that the type cannot hold.
    #[error("element {index} is not finite, or larger than {name} blocks hold")]
    Range {
        /// The type.
        name: &'static str,
        /// Index of the element.
        index: usize,
    },
    /// Elements that do not fill blocks.
    #[error("{elements} elements do not fill blocks of {name}")]
    Ragged {
        /// The type.
        name: &'static str,
        /// Elements given.
        elements: usize,
    },
}

type Decode = fn(&[u8], &mut [f32]);
type Encode = fn(&[f32], &mut [u8]);

/// What lies together, and how it is read and written.
struct Codec {
    elements: usize,
    bytes: usize,
    decode: Decode,
    encode: Encode,
}

/// The table of types.
fn codec(block: Block) -> Option<Codec> {
    let (decode, encode): (Decode, Encode) = match block {
        Block::Q4_0 => (legacy::q4_0, legacy::to_q4_0),
        Block::Q4_1 => (legacy::q4_1, legacy::to_q4_1),
        Block::Q5_0 => (legacy::q5_0, legacy::to_q5_0),
        Block::Q5_1 => (legacy::q5_1, legacy::to_q5_1),
        Block::Q8_0 => (legacy::q8_0, legacy::to_q8_0),
        Block::Mxfp4 => (fp4::mxfp4, fp4::to_mxfp4),
        Block::Nvfp4 => (fp4::nvfp4, fp4::to_nvfp4),
        Block::Q2K => (k::q2_k, affine::to_q2_k),
        Block::Q3K => (k::q3_k, centred::to_q3_k),
        Block::Q4K => (k::q4_k, affine::to_q4_k),
        Block::Q5K => (k::q5_k, affine::to_q5_k),
        Block::Q6K => (k::q6_k, centred::to_q6_k),
        Block::Iq4Nl => (iq4::iq4_nl, iq4::to_iq4_nl),
        Block::Iq4Xs => (iq4::iq4_xs, iq4::to_iq4_xs),
        Block::Mxfp6E2m3 | Block::Mxfp6E3m2 | Block::Mxfp8E4m3 | Block::Mxfp8E5m2 => return None,
    };
    // ggml keeps NVFP4's blocks in fours: their scales, then their elements.
    let together = if block == Block::Nvfp4 { 4 } else { 1 };
    let (elements, bytes) = (block.elements() as usize, block.bytes() as usize);
    Some(Codec { elements: together * elements, bytes: together * bytes, decode, encode })
}

/// The numbers of whole blocks, as ggml computes them in f32. NVFP4 comes without the scale of its tensor.
///
/// # Errors
/// A type without a codec, and bytes that are not those of `out`.
pub fn dequantize(block: Block, bytes: &[u8], out: &mut [f32]) -> Result<(), BlockError> {
    let codec = codec(block).ok_or(BlockError::NoCodec(block.name()))?;
    let whole = out.len().is_multiple_of(codec.elements);
    if !whole || bytes.len() != out.len() / codec.elements * codec.bytes {
        let (name, bytes, elements) = (block.name(), bytes.len(), out.len());
        return Err(BlockError::Length { name, bytes, elements });
    }
    let blocks = bytes.chunks_exact(codec.bytes).zip(out.chunks_exact_mut(codec.elements));
    blocks.for_each(|(bytes, out)| (codec.decode)(bytes, out));
    Ok(())
}

/// The bytes of whole blocks that stand for the numbers.
///
/// The types that are gguf's bit for bit are so for any numbers: infinities, NaN and what overflows a scale become
/// what they become there.
///
/// # Errors
/// A type without a codec, numbers that do not fill blocks, and, for the types that are searched and NVFP4, numbers
/// that are not finite or too large for their scales.
pub fn quantize(block: Block, values: &[f32]) -> Result<Vec<u8>, BlockError> {
    let name = block.name();
    let codec = codec(block).ok_or(BlockError::NoCodec(name))?;
    if !values.len().is_multiple_of(codec.elements) {
        return Err(BlockError::Ragged { name, elements: values.len() });
    }
    let mut bytes = vec![0; values.len() / codec.elements * codec.bytes];
    let mut back = vec![0.0; codec.elements];
    let blocks = values.chunks_exact(codec.elements).zip(bytes.chunks_exact_mut(codec.bytes));
    for (at, (values, bytes)) in blocks.enumerate() {
        (codec.encode)(values, bytes);
        let Some(largest) = largest(block) else { continue };
        (codec.decode)(bytes, &mut back);
        let holds = |(x, y): (&f32, &f32)| x.abs() <= largest && y.is_finite();
        if !values.iter().zip(&back).all(holds) {
            return Err(BlockError::Range { name, index: at * codec.elements + extreme(values) });
        }
    }
    Ok(bytes)
}

/// The largest magnitude that may be encoded, scales in fp16 aside; `None` for the types that take any number.
fn largest(block: Block) -> Option<f32> {
    match block {
        Block::Q4_0 | Block::Q4_1 | Block::Q5_0 | Block::Q5_1 | Block::Q8_0 | Block::Mxfp4 => None,
        Block::Nvfp4 => Some(fp4::LARGEST_NVFP4),
        _ => Some(f32::MAX),
    }
}

/// Index of the first element that is not finite, else of the largest magnitude.
fn extreme(values: &[f32]) -> usize {
    let magnitude = |i: &usize| values[*i].abs();
    let wrong = values.iter().position(|x| !x.is_finite());
    let largest = || (0..values.len()).max_by(|a, b| magnitude(a).total_cmp(&magnitude(b)));
    wrong.or_else(largest).unwrap_or(0)
}

/// The half-precision number at the start.
fn half(bytes: &[u8]) -> f32 {
    super::slice::from_fp16(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// Puts a number at the start in half precision.
fn put_half(x: f32, bytes: &mut [u8]) {
    bytes[..2].copy_from_slice(&super::slice::to_fp16(x).to_le_bytes());
}

/// A number without its fraction, modulo 256; 0 where it does not fit 32 bits (numpy's casts on x86).
fn wrapped(x: f32) -> u8 {
    let fits = x >= i32::MIN as f32 && x < -(i32::MIN as f32);
    if fits { x as i32 as u8 } else { 0 }
}
