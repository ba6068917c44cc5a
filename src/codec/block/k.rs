//! 256 elements in sub-blocks of 16 or 32, whose own scales are integers times scales in fp16.

use super::{half, planes};

/// Elements of a block.
pub(super) const N: usize = 256;

/// `d sc q - dmin m`, 2 bits, sub-blocks of 16 with scale and minimum of 4 bits.
pub(super) fn q2_k(bytes: &[u8], out: &mut [f32]) {
    let mut codes = [0; N];
    planes::read::<2, 32>(&bytes[16..80], 0, &mut codes);
    let (d, dmin) = (half(&bytes[80..]), half(&bytes[82..]));
    let of = |i: usize| (d * f32::from(bytes[i] & 15), dmin * f32::from(bytes[i] >> 4));
    affine::<16>(of, &codes, out);
}

/// `d sc (q - 4)`, 3 bits, sub-blocks of 16 with a scale of 6 bits.
pub(super) fn q3_k(bytes: &[u8], out: &mut [f32]) {
    let mut codes = [0; N];
    planes::read::<2, 32>(&bytes[32..96], 0, &mut codes);
    planes::read::<1, 32>(&bytes[..32], 2, &mut codes);
    let (d, scales) = (half(&bytes[108..]), six_bits(&bytes[96..108]));
    centred(|i| d * (f32::from(scales[i]) - 32.0), 4.0, &codes, out);
}

/// `d sc q - dmin m`, 4 bits, sub-blocks of 32 with scale and minimum of 6 bits.
pub(super) fn q4_k(bytes: &[u8], out: &mut [f32]) {
    let mut codes = [0; N];
    planes::read::<4, 32>(&bytes[16..], 0, &mut codes);
    affine::<32>(scale_and_minimum(bytes), &codes, out);
}

/// `d sc q - dmin m`, 5 bits, sub-blocks of 32 with scale and minimum of 6 bits.
pub(super) fn q5_k(bytes: &[u8], out: &mut [f32]) {
    let mut codes = [0; N];
    planes::read::<4, 32>(&bytes[48..], 0, &mut codes);
    planes::read::<1, 32>(&bytes[16..48], 4, &mut codes);
    affine::<32>(scale_and_minimum(bytes), &codes, out);
}

/// `d sc (q - 32)`, 6 bits, sub-blocks of 16 with a scale of 8 bits.
pub(super) fn q6_k(bytes: &[u8], out: &mut [f32]) {
    let mut codes = [0; N];
    planes::read::<4, 64>(&bytes[..128], 0, &mut codes);
    planes::read::<2, 32>(&bytes[128..192], 4, &mut codes);
    let (d, scales) = (half(&bytes[208..]), &bytes[192..208]);
    centred(|i| d * f32::from(scales[i] as i8), 32.0, &codes, out);
}

fn affine<const SUB: usize>(of: impl Fn(usize) -> (f32, f32), codes: &[u8; N], out: &mut [f32]) {
    let subs = codes.chunks_exact(SUB).zip(out.chunks_exact_mut(SUB));
    for (i, (codes, out)) in subs.enumerate() {
        let (scale, minimum) = of(i);
        for (out, &q) in out.iter_mut().zip(codes) {
            *out = scale * f32::from(q) - minimum;
        }
    }
}

fn centred(of: impl Fn(usize) -> f32, middle: f32, codes: &[u8; N], out: &mut [f32]) {
    let subs = codes.chunks_exact(16).zip(out.chunks_exact_mut(16));
    for (i, (codes, out)) in subs.enumerate() {
        let scale = of(i);
        for (out, &q) in out.iter_mut().zip(codes) {
            *out = scale * (f32::from(q) - middle);
        }
    }
}

/// Scale and minimum of each sub-block of q4_k and q5_k, whose first 16 bytes are alike.
fn scale_and_minimum(bytes: &[u8]) -> impl Fn(usize) -> (f32, f32) {
    let (d, dmin) = (half(bytes), half(&bytes[2..]));
    let (scales, minima) = scales_and_minima(&bytes[4..16]);
    move |i| (d * f32::from(scales[i]), dmin * f32::from(minima[i]))
}

/// Eight scales and eight minima of 6 bits: the first four of each whole in a byte, the last four in nibbles,
/// with their upper bits in what the first four leave free.
fn scales_and_minima(packed: &[u8]) -> ([u8; 8], [u8; 8]) {
    let (mut scales, mut minima) = ([0; 8], [0; 8]);
    for i in 0..4 {
        let (s, m, both) = (packed[i], packed[i + 4], packed[i + 8]);
        (scales[i], minima[i]) = (s & 63, m & 63);
        scales[i + 4] = both & 15 | s >> 2 & 48;
        minima[i + 4] = both >> 4 | m >> 2 & 48;
    }
    (scales, minima)
}

/// The inverse of [`scales_and_minima`].
pub(super) fn pack_scales_and_minima(scales: &[u8], minima: &[u8], packed: &mut [u8]) {
    for i in 0..4 {
        packed[i] = scales[i] | (scales[i + 4] & 48) << 2;
        packed[i + 4] = minima[i] | (minima[i + 4] & 48) << 2;
        packed[i + 8] = scales[i + 4] & 15 | minima[i + 4] << 4;
    }
}

/// 16 numbers of 6 bits: the lower four bits in 8 bytes, the upper two in 4.
fn six_bits(packed: &[u8]) -> [u8; 16] {
    let mut numbers = [0; 16];
    planes::read::<4, 8>(&packed[..8], 0, &mut numbers);
    planes::read::<2, 4>(&packed[8..], 4, &mut numbers);
    numbers
}

/// The inverse of [`six_bits`].
pub(super) fn pack_six_bits(numbers: &[u8], packed: &mut [u8]) {
    planes::write::<4, 8>(numbers, 0, &mut packed[..8]);
    planes::write::<2, 4>(numbers, 4, &mut packed[8..]);
}
