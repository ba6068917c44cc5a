//! 32 elements with a scale, and a minimum where the name ends in 1.

use super::{half, planes, put_half, wrapped};

/// Elements of a block.
const N: usize = 32;

/// `d (q - 8)`.
pub(super) fn q4_0(bytes: &[u8], out: &mut [f32]) {
    centred(half(bytes), 8.0, &codes(None, &bytes[2..]), out);
}

/// `d q + m`.
pub(super) fn q4_1(bytes: &[u8], out: &mut [f32]) {
    affine(half(bytes), half(&bytes[2..]), &codes(None, &bytes[4..]), out);
}

/// `d (q - 16)`, the fifth bits in a plane of their own.
pub(super) fn q5_0(bytes: &[u8], out: &mut [f32]) {
    centred(half(bytes), 16.0, &codes(Some(&bytes[2..6]), &bytes[6..]), out);
}

/// `d q + m`, the fifth bits in a plane of their own.
pub(super) fn q5_1(bytes: &[u8], out: &mut [f32]) {
    affine(half(bytes), half(&bytes[2..]), &codes(Some(&bytes[4..8]), &bytes[8..]), out);
}

/// `d q`.
pub(super) fn q8_0(bytes: &[u8], out: &mut [f32]) {
    let d = half(bytes);
    for (out, &q) in out.iter_mut().zip(&bytes[2..]) {
        *out = f32::from(q as i8) * d;
    }
}

/// The element of largest magnitude becomes -8 steps, the others are rounded to the nearest.
pub(super) fn to_q4_0(values: &[f32], bytes: &mut [u8]) {
    let codes = to_centred(values, 8.0, bytes);
    planes::write::<4, 16>(&codes, 0, &mut bytes[2..]);
}

/// 15 steps from the smallest to the largest element.
pub(super) fn to_q4_1(values: &[f32], bytes: &mut [u8]) {
    let codes = to_affine(values, 15.0, bytes);
    planes::write::<4, 16>(&codes, 0, &mut bytes[4..]);
}

/// The element of largest magnitude becomes -16 steps, the others are rounded to the nearest.
pub(super) fn to_q5_0(values: &[f32], bytes: &mut [u8]) {
    let codes = to_centred(values, 16.0, bytes);
    planes::write::<1, 1>(&codes, 4, &mut bytes[2..6]);
    planes::write::<4, 16>(&codes, 0, &mut bytes[6..]);
}

/// 31 steps from the smallest to the largest element.
pub(super) fn to_q5_1(values: &[f32], bytes: &mut [u8]) {
    let codes = to_affine(values, 31.0, bytes);
    planes::write::<1, 1>(&codes, 4, &mut bytes[4..8]);
    planes::write::<4, 16>(&codes, 0, &mut bytes[8..]);
}

/// The largest magnitude becomes 127 steps, the others are rounded to the nearest, halves away from zero.
pub(super) fn to_q8_0(values: &[f32], bytes: &mut [u8]) {
    let largest = values.iter().fold(0.0_f32, |most, x| larger(most, x.abs()));
    let d = largest / 127.0;
    let inverse = inverse(d);
    put_half(d, bytes);
    for (byte, x) in bytes[2..].iter_mut().zip(values) {
        *byte = wrapped((x * inverse).round());
    }
}

fn codes(high: Option<&[u8]>, low: &[u8]) -> [u8; N] {
    let mut codes = [0; N];
    planes::read::<4, 16>(low, 0, &mut codes);
    if let Some(high) = high {
        planes::read::<1, 1>(high, 4, &mut codes);
    }
    codes
}

fn centred(d: f32, middle: f32, codes: &[u8; N], out: &mut [f32]) {
    for (out, &q) in out.iter_mut().zip(codes) {
        *out = (f32::from(q) - middle) * d;
    }
}

fn affine(d: f32, m: f32, codes: &[u8; N], out: &mut [f32]) {
    for (out, &q) in out.iter_mut().zip(codes) {
        *out = f32::from(q) * d + m;
    }
}

fn to_centred(values: &[f32], middle: f32, bytes: &mut [u8]) -> [u8; N] {
    let mut most = values[0];
    for x in values {
        if x.abs() > most.abs() || x.is_nan() && !most.is_nan() {
            most = *x;
        }
    }
    let d = most / -middle;
    let inverse = inverse(d);
    put_half(d, bytes);
    let top = 2.0 * middle - 1.0;
    code(values, |x| x * inverse + (middle + 0.5), top)
}

fn to_affine(values: &[f32], top: f32, bytes: &mut [u8]) -> [u8; N] {
    let most = values.iter().fold(f32::NEG_INFINITY, |most, x| larger(most, *x));
    let least = -values.iter().fold(f32::NEG_INFINITY, |most, x| larger(most, -*x));
    let d = (most - least) / top;
    let inverse = inverse(d);
    put_half(d, bytes);
    put_half(least, &mut bytes[2..]);
    code(values, |x| (x - least) * inverse + 0.5, top)
}

fn code(values: &[f32], scaled: impl Fn(f32) -> f32, top: f32) -> [u8; N] {
    let mut codes = [0; N];
    for (code, x) in codes.iter_mut().zip(values) {
        *code = wrapped(scaled(*x)).min(top as u8);
    }
    codes
}

fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// The larger of two, NaN where one is.
fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || b <= a { a } else { b }
}
