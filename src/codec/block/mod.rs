//! Blocks of neighbours that share scales: ggml's types as bytes (ggml-org/llama.cpp,
//! `ggml/src/ggml-common.h` and `ggml-quants.c`).
//!
//! To add a type: its functions in a file of its family, one arm in [`dequantize`].

mod legacy;

use crate::dtype::Block;

/// Bytes that cannot be blocks, or blocks that have no codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// No codec.
    #[error("{0} blocks are not decoded")]
    NoDecoder(&'static str),
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
}

/// The numbers of whole blocks, as ggml computes them in f32.
///
/// # Errors
/// A type without a codec, and bytes that are not those of `out`.
pub fn dequantize(block: Block, bytes: &[u8], out: &mut [f32]) -> Result<(), BlockError> {
    let (elements, size) = (block.elements() as usize, block.bytes() as usize);
    if !out.len().is_multiple_of(elements) || bytes.len() != out.len() / elements * size {
        let (name, bytes, elements) = (block.name(), bytes.len(), out.len());
        return Err(BlockError::Length { name, bytes, elements });
    }
    let of: fn(&[u8], &mut [f32]) = match block {
        Block::Q4_0 => legacy::q4_0,
        Block::Q4_1 => legacy::q4_1,
        Block::Q5_0 => legacy::q5_0,
        Block::Q5_1 => legacy::q5_1,
        Block::Q8_0 => legacy::q8_0,
        _ => return Err(BlockError::NoDecoder(block.name())),
    };
    for (bytes, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(elements)) {
        of(bytes, out);
    }
    Ok(())
}

/// The half-precision number at the start.
fn half(bytes: &[u8]) -> f32 {
    super::slice::from_fp16(u16::from_le_bytes([bytes[0], bytes[1]]))
}
