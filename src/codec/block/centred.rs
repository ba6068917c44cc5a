//! Encoders of the types with a signed scale per sub-block and no minimum: q3_k, q6_k, iq4_xs.

use super::search::{Levels, Whole, rounded, scale};
use super::{half, k, planes, put_half};

/// Times that the scale of a block is fitted again to the codes found.
const ROUNDS: usize = 3;

/// A scale of the block, whole multiples of it per sub-block, and codes.
pub(super) struct Fit {
    /// As fp16 has it.
    pub d: f32,
    /// From `-n` to `n - 1`.
    pub scales: [i32; 16],
    /// Of every element.
    pub codes: [u8; k::N],
}

/// 3 bits, sub-blocks of 16 with a scale of 6 bits.
pub(super) fn to_q3_k(values: &[f32], bytes: &mut [u8]) {
    let fit = fit(values, 16, Whole { n: 4.0 }, 32);
    planes::write::<1, 32>(&fit.codes, 2, &mut bytes[..32]);
    planes::write::<2, 32>(&fit.codes, 0, &mut bytes[32..96]);
    k::pack_six_bits(&fit.scales.map(|s| (s + 32) as u8), &mut bytes[96..108]);
    put_half(fit.d, &mut bytes[108..]);
}

/// 6 bits, sub-blocks of 16 with a scale of 8 bits.
pub(super) fn to_q6_k(values: &[f32], bytes: &mut [u8]) {
    let fit = fit(values, 16, Whole { n: 32.0 }, 128);
    planes::write::<4, 64>(&fit.codes, 0, &mut bytes[..128]);
    planes::write::<2, 32>(&fit.codes, 4, &mut bytes[128..192]);
    for (byte, scale) in bytes[192..208].iter_mut().zip(fit.scales) {
        *byte = scale as i8 as u8;
    }
    put_half(fit.d, &mut bytes[208..]);
}

/// The least squared error found, for multiples of the block's scale from `-n` to `n - 1`.
pub(super) fn fit(values: &[f32], sub: usize, levels: impl Levels, n: i32) -> Fit {
    let mut wanted = [0.0; 16];
    for (wanted, values) in wanted.iter_mut().zip(values.chunks_exact(sub)) {
        *wanted = scale(values, levels);
    }
    let most = wanted.iter().fold(0.0_f32, |most, x| if x.abs() > most.abs() { *x } else { most });
    let mut best = integers(values, sub, levels, &wanted, (most / -(n as f32), n));
    for _ in 0..ROUNDS {
        let again = integers(values, sub, levels, &wanted, (best.refitted, n));
        if again.error >= best.error {
            break;
        }
        best = again;
    }
    let mut codes = [0; k::N];
    let subs = values.chunks_exact(sub).zip(codes.chunks_exact_mut(sub));
    for ((values, codes), of) in subs.zip(best.scales) {
        encode(values, best.d * of as f32, levels, codes);
    }
    Fit { d: best.d, scales: best.scales, codes }
}

/// The codes nearest to values under a scale.
pub(super) fn encode(values: &[f32], scale: f32, levels: impl Levels, codes: &mut [u8]) {
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    for (code, x) in codes.iter_mut().zip(values) {
        *code = levels.code(levels.nearest(x * inverse));
    }
}

/// `x` as fp16 has it.
pub(super) fn in_half(x: f32) -> f32 {
    let mut bytes = [0; 2];
    put_half(x, &mut bytes);
    half(&bytes)
}

struct Trial {
    d: f32,
    scales: [i32; 16],
    error: f32,
    /// The scale of the block that fits the codes best.
    refitted: f32,
}

/// Of the whole multiples around what is wanted the ones that leave least.
fn integers(
    values: &[f32],
    sub: usize,
    levels: impl Levels,
    wanted: &[f32; 16],
    (d, n): (f32, i32),
) -> Trial {
    let d = in_half(d);
    let mut trial = Trial { d, scales: [0; 16], error: 0.0, refitted: d };
    let (mut xl, mut ll) = (0.0, 0.0);
    for (i, values) in values.chunks_exact(sub).enumerate() {
        let middle = if d == 0.0 { 0 } else { (wanted[i] / d).round() as i32 };
        let (mut least, mut sums) = (f32::INFINITY, [0.0; 2]);
        for scale in [-1, 0, 1].map(|by| middle.saturating_add(by).clamp(-n, n - 1)) {
            let (found, error) = rounded(values, d * scale as f32, levels);
            if error < least {
                (least, trial.scales[i]) = (error, scale);
                sums = found.map(|s| s * scale as f32);
                sums[1] *= scale as f32;
            }
        }
        trial.error += least;
        (xl, ll) = (xl + sums[0], ll + sums[1]);
    }
    if ll > 0.0 {
        trial.refitted = xl / ll;
    }
    trial
}
