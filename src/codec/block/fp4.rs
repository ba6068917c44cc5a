//! fp4-e2m1 elements: MXFP4 with a power of two per 32, NVFP4 with an e4m3 scale per 16.
//!
//! Tables have twice the value of a code, scales half of theirs, so that both are whole numbers in ggml.

use super::{planes, wrapped};

/// Twice the value of each code of e2m1.
const TWICE: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

/// Groups of an NVFP4 block that lie together.
const GROUPS: usize = 4;

/// The largest magnitude of NVFP4 without the scale of its tensor: the largest e2m1 times the largest e4m3.
pub(super) const LARGEST_NVFP4: f32 = 6.0 * 448.0;

/// A byte of scale, then 32 codes.
pub(super) fn mxfp4(bytes: &[u8], out: &mut [f32]) {
    let mut codes = [0; 32];
    planes::read::<4, 16>(&bytes[1..], 0, &mut codes);
    scaled(half_power(bytes[0]), &codes, out);
}

/// Four bytes of scales, then 16 codes for each.
pub(super) fn nvfp4(bytes: &[u8], out: &mut [f32]) {
    let mut codes = [0; 64];
    planes::read::<4, 8>(&bytes[GROUPS..], 0, &mut codes);
    let groups = codes.chunks_exact(16).zip(out.chunks_exact_mut(16));
    for ((codes, out), &scale) in groups.zip(bytes) {
        scaled(half_e4m3(scale), codes, out);
    }
}

/// `2^(floor(log2 max) - 2)` (OCP Microscaling Formats specification 1.0, section 6.3), then the nearest codes.
pub(super) fn to_mxfp4(values: &[f32], bytes: &mut [u8]) {
    let nan = values.iter().any(|x| x.is_nan());
    let most = values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    // The logarithm is one of f32, whose rounding reaches the next power of two early.
    let power = (f64::from(most).log2() as f32).floor() - 2.0 + 127.0;
    bytes[0] = if most > 0.0 && !nan { wrapped(power) } else { 0 };
    let mut codes = [0; 32];
    nearest(half_power(bytes[0]), values, &mut codes);
    planes::write::<4, 16>(&codes, 0, &mut bytes[1..]);
}

/// A sixth of each group's largest magnitude as its scale, then the nearest codes.
pub(super) fn to_nvfp4(values: &[f32], bytes: &mut [u8]) {
    let mut codes = [0; 64];
    let groups = values.chunks_exact(16).zip(codes.chunks_exact_mut(16));
    for ((values, codes), scale) in groups.zip(bytes.iter_mut()) {
        let most = values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        *scale = to_e4m3(most / 6.0);
        nearest(half_e4m3(*scale), values, codes);
    }
    planes::write::<4, 8>(&codes, 0, &mut bytes[GROUPS..]);
}

fn scaled(d: f32, codes: &[u8], out: &mut [f32]) {
    for (out, &code) in out.iter_mut().zip(codes) {
        *out = d * TWICE[usize::from(code & 15)];
    }
}

/// The first of the nearest codes; of NaN the first of all.
fn nearest(d: f32, values: &[f32], codes: &mut [u8]) {
    let levels = TWICE.map(|t| d * t);
    for (code, x) in codes.iter_mut().zip(values) {
        let mut least = (levels[0] - x).abs();
        for (k, level) in levels.iter().enumerate().skip(1) {
            let error = (level - x).abs();
            if error < least {
                (least, *code) = (error, k as u8);
            }
        }
    }
}

/// Half of `2^(e - 127)`, which is subnormal for the two smallest.
fn half_power(e: u8) -> f32 {
    let e = u32::from(e);
    f32::from_bits(if e < 2 { 0x0020_0000 << e } else { (e - 1) << 23 })
}

/// Half of an e4m3 without sign; zero for the pattern of NaN.
fn half_e4m3(bits: u8) -> f32 {
    if bits == 0x7f {
        return 0.0;
    }
    let (field, fraction) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
    let steps = if field == 0 { fraction } else { 8.0 + fraction };
    0.5 * steps * f32::from_bits(((field.max(1) - 10 + 127) as u32) << 23)
}

/// The nearest e4m3 without sign, halves up; 448 at most.
fn to_e4m3(x: f32) -> u8 {
    if x.is_nan() || x <= 0.0 {
        return 0;
    }
    let bits = x.min(448.0).to_bits();
    let field = (bits >> 23) as i32 - 127 + 7;
    if field <= 0 {
        return ((x * 512.0 + 0.5) as u8).min(7);
    }
    let rounded = (bits >> 20) - ((127 - 7) << 3) + (bits >> 19 & 1);
    (rounded as u8).min(0x7e)
}
