//! 32 elements with a scale, and a minimum where the name ends in 1. The low nibbles of the bytes are
//! the first half of the block, the high ones the second.

use super::half;

/// `d (q - 8)`.
pub(super) fn q4_0(bytes: &[u8], out: &mut [f32]) {
    let d = half(bytes);
    nibbles(&bytes[2..], out, |_, q| (f32::from(q) - 8.0) * d);
}

/// `d q + m`.
pub(super) fn q4_1(bytes: &[u8], out: &mut [f32]) {
    let (d, m) = (half(bytes), half(&bytes[2..]));
    nibbles(&bytes[4..], out, |_, q| f32::from(q) * d + m);
}

/// `d (q - 16)`, the fifth bits in a word of their own.
pub(super) fn q5_0(bytes: &[u8], out: &mut [f32]) {
    let d = half(bytes);
    let high = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
    nibbles(&bytes[6..], out, |i, q| (f32::from(fifth(high, i, q)) - 16.0) * d);
}

/// `d q + m`, the fifth bits in a word of their own.
pub(super) fn q5_1(bytes: &[u8], out: &mut [f32]) {
    let (d, m) = (half(bytes), half(&bytes[2..]));
    let high = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    nibbles(&bytes[8..], out, |i, q| f32::from(fifth(high, i, q)) * d + m);
}

/// `d q`.
pub(super) fn q8_0(bytes: &[u8], out: &mut [f32]) {
    let d = half(bytes);
    for (out, &q) in out.iter_mut().zip(&bytes[2..]) {
        *out = f32::from(q as i8) * d;
    }
}

fn fifth(high: u32, i: usize, q: u8) -> u8 {
    q | ((high >> i & 1) as u8) << 4
}

fn nibbles(bytes: &[u8], out: &mut [f32], of: impl Fn(usize, u8) -> f32) {
    let half = out.len() / 2;
    for (i, &byte) in bytes.iter().enumerate() {
        out[i] = of(i, byte & 15);
        out[i + half] = of(i + half, byte >> 4);
    }
}
