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
