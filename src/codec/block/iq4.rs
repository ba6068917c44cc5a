//! 4 bits into a table of 16 values that lie closer around zero.

use super::centred::{encode, fit, in_half};
use super::search::{Levels, scale};
use super::{half, planes, put_half};

/// ggml's `kvalues_iq4nl` (ggml-common.h).
const TABLE: [f32; 16] = [
    -127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0,
    89.0, 113.0,
];

/// 32 elements, a scale: `d table[q]`.
pub(super) fn iq4_nl(bytes: &[u8], out: &mut [f32]) {
    let mut codes = [0; 32];
    planes::read::<4, 16>(&bytes[2..], 0, &mut codes);
    looked_up(half(bytes), &codes, out);
}

/// 256 elements, per 32 a scale of 6 bits: `d sc table[q]`.
pub(super) fn iq4_xs(bytes: &[u8], out: &mut [f32]) {
    let mut codes = [0; 256];
    planes::read::<4, 16>(&bytes[8..], 0, &mut codes);
    let mut scales = [0; 8];
    planes::read::<4, 1>(&bytes[4..8], 0, &mut scales);
    planes::read::<2, 1>(&bytes[2..4], 4, &mut scales);
    let d = half(bytes);
    let subs = codes.chunks_exact(32).zip(out.chunks_exact_mut(32));
    for ((codes, out), scale) in subs.zip(scales) {
        looked_up(d * (f32::from(scale) - 32.0), codes, out);
    }
}

/// The scale that leaves the least squared error, and the nearest codes.
pub(super) fn to_iq4_nl(values: &[f32], bytes: &mut [u8]) {
    let d = in_half(scale(values, Table));
    let mut codes = [0; 32];
    encode(values, d, Table, &mut codes);
    put_half(d, bytes);
    planes::write::<4, 16>(&codes, 0, &mut bytes[2..]);
}

/// Scales that leave the least squared error, and the nearest codes.
pub(super) fn to_iq4_xs(values: &[f32], bytes: &mut [u8]) {
    let fit = fit(values, 32, Table, 32);
    let scales = fit.scales.map(|s| (s + 32) as u8);
    put_half(fit.d, bytes);
    planes::write::<2, 1>(&scales[..8], 4, &mut bytes[2..4]);
    planes::write::<4, 1>(&scales[..8], 0, &mut bytes[4..8]);
    planes::write::<4, 16>(&fit.codes, 0, &mut bytes[8..]);
}

/// Cells of half a level, from `-CELLS / 4`.
const CELLS: usize = 512;

/// The magnitude from which on f32 counts in halves.
const HALVES: f32 = 4_194_304.0;

/// The level nearest to every cell; middles between levels are edges of cells.
const NEAREST: [f32; CELLS] = {
    let mut nearest = [TABLE[15]; CELLS];
    let mut level = 15;
    while level > 0 {
        let middle = 0.5 * (TABLE[level - 1] + TABLE[level]);
        let mut cell = 0;
        while (cell as f32 + 0.5) * 0.5 < middle + (CELLS / 4) as f32 {
            nearest[cell] = TABLE[level - 1];
            cell += 1;
        }
        level -= 1;
    }
    nearest
};

/// The table as levels.
#[derive(Clone, Copy)]
struct Table;

impl Levels for Table {
    fn ends(self) -> [f32; 2] {
        [TABLE[0], TABLE[15]]
    }

    fn nearest(self, y: f32) -> f32 {
        // Bits of the sum whose last place is a half of a level: its cell.
        let cell = y.clamp(TABLE[0], TABLE[15]) + (CELLS / 4) as f32 - 0.25 + HALVES;
        NEAREST[cell.to_bits() as usize % CELLS]
    }

    fn code(self, level: f32) -> u8 {
        TABLE.iter().filter(|t| **t < level).count() as u8
    }
}

fn looked_up(d: f32, codes: &[u8], out: &mut [f32]) {
    for (out, &code) in out.iter_mut().zip(codes) {
        *out = d * TABLE[usize::from(code & 15)];
    }
}
