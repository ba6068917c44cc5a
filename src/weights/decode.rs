//! Stored elements as numbers, whatever their kind.

use crate::codec::{Float, block};
use crate::formats::values::{self, Value};
use crate::formats::{FormatError, Kind};

/// The numbers in `bytes`.
///
/// # Errors
/// A kind that is not decoded.
pub(super) fn decode<V: Value>(kind: Kind, bytes: &[u8]) -> Result<Vec<V>, FormatError> {
    let floats =
        |float: Float| Ok(bytes.iter().map(|&b| V::from_f64(float.decode(u32::from(b)))).collect());
    match kind {
        Kind::F8E4m3 => floats(Float::E4M3FN),
        Kind::F8E5m2 => floats(Float::E5M2),
        Kind::F8E8m0 => floats(Float::E8M0),
        Kind::Block(of) => {
            let blocks = bytes.len() / of.bytes() as usize;
            let mut out = vec![0.0; blocks * of.elements() as usize];
            let done = block::dequantize(of, bytes, &mut out);
            done.map_err(|e| FormatError::byte(0, e.to_string()))?;
            Ok(out.into_iter().map(V::from_f32).collect())
        }
        plain => values::decode(plain, bytes),
    }
}

/// Elements of MXFP4 and their powers of two as numbers.
pub(super) fn microscaled<V: Value>(blocks: &[u8], scales: &[u8]) -> Vec<V> {
    let element = |bits: u8| Float::E2M1.decode(u32::from(bits));
    let group = |(group, scale): (&[u8], &u8)| -> Vec<V> {
        let scale = Float::E8M0.decode(u32::from(*scale));
        let pair = |byte: &u8| [element(byte & 15) * scale, element(byte >> 4) * scale];
        group.iter().flat_map(pair).map(V::from_f64).collect()
    };
    blocks.chunks_exact(16).zip(scales).flat_map(group).collect()
}
