//! Plain stored elements as numbers, little end first.

use super::{FormatError, Kind};
use half::{bf16, f16};

/// A number that stored elements become.
pub trait Value: Copy {
    /// From the widest float.
    fn from_f64(value: f64) -> Self;
    /// From a float of 32 bits, exactly.
    fn from_f32(value: f32) -> Self;
}

impl Value for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn from_f32(value: f32) -> Self {
        value
    }
}

impl Value for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
    fn from_f32(value: f32) -> Self {
        f64::from(value)
    }
}

fn map<const N: usize, V>(bytes: &[u8], of: impl Fn([u8; N]) -> V) -> Vec<V> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| of(chunk)).collect()
}

/// The numbers in `bytes`; integers of 64 bits are rounded to a float.
///
/// # Errors
/// A kind that is not plain: 8-bit floats and blocks are decoded by the codec.
pub fn decode<V: Value>(kind: Kind, bytes: &[u8]) -> Result<Vec<V>, FormatError> {
    Ok(match kind {
        Kind::F32 => map(bytes, |b| V::from_f32(f32::from_le_bytes(b))),
        Kind::F64 => map(bytes, |b| V::from_f64(f64::from_le_bytes(b))),
        Kind::F16 => map(bytes, |b| V::from_f32(f16::from_le_bytes(b).to_f32())),
        Kind::Bf16 => map(bytes, |b| V::from_f32(bf16::from_le_bytes(b).to_f32())),
        Kind::Bool | Kind::U8 => map(bytes, |[b]| V::from_f32(f32::from(b))),
        Kind::I8 => map(bytes, |b| V::from_f32(f32::from(i8::from_le_bytes(b)))),
        Kind::U16 => map(bytes, |b| V::from_f32(f32::from(u16::from_le_bytes(b)))),
        Kind::I16 => map(bytes, |b| V::from_f32(f32::from(i16::from_le_bytes(b)))),
        Kind::U32 => map(bytes, |b| V::from_f64(f64::from(u32::from_le_bytes(b)))),
        Kind::I32 => map(bytes, |b| V::from_f64(f64::from(i32::from_le_bytes(b)))),
        Kind::U64 => map(bytes, |b| V::from_f64(u64::from_le_bytes(b) as f64)),
        Kind::I64 => map(bytes, |b| V::from_f64(i64::from_le_bytes(b) as f64)),
        Kind::F8E4m3 | Kind::F8E5m2 | Kind::F8E8m0 | Kind::Block(_) => {
            let why = format!("{kind} elements are not plain numbers");
            return Err(FormatError::byte(0, why));
        }
    })
}

/// Integers in `bytes`; `None` for a kind that holds none.
pub fn integers(kind: Kind, bytes: &[u8]) -> Option<Vec<i64>> {
    Some(match kind {
        Kind::U8 => map(bytes, |[b]| i64::from(b)),
        Kind::I8 => map(bytes, |b| i64::from(i8::from_le_bytes(b))),
        Kind::U16 => map(bytes, |b| i64::from(u16::from_le_bytes(b))),
        Kind::I16 => map(bytes, |b| i64::from(i16::from_le_bytes(b))),
        Kind::U32 => map(bytes, |b| i64::from(u32::from_le_bytes(b))),
        Kind::I32 => map(bytes, |b| i64::from(i32::from_le_bytes(b))),
        Kind::I64 => map(bytes, i64::from_le_bytes),
        Kind::U64 => map(bytes, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX)),
        _ => return None,
    })
}

/// The bytes of numbers as floats of 32 bits.
pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The bytes of numbers as floats of 64 bits.
pub fn f64_bytes(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The bytes of integers of 64 bits.
pub fn i64_bytes(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
