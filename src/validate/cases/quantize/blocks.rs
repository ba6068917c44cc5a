//! Blocks of GGUF as bytes: ggml's way, ways as right, and wrong ones.

use super::QuantizeCase;
use crate::codec::{Float, Overflow};
use crate::dtype::Block;
use crate::validate::{Inputs, Precision};

/// What a kernel does otherwise with a block; the default is ggml's way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Way {
    #[default]
    Right,
    /// Divides by the scale, which is as right.
    Divides,
    /// Rounds product and sum together, which is as right.
    Fused,
    Truncates,
    TiesToEven,
    /// Codes are of the scale as it is stored.
    StoredScale,
    /// The sign of the largest magnitude is lost.
    Unsigned,
    /// The scale is for one step less.
    OneLess,
    /// The minimum is taken for zero.
    MinMissing,
    /// Scale and minimum change places.
    MinFirst,
    HighBitsMissing,
    NibblesSwapped,
    /// A byte has neighbours.
    Interleaved,
    ScaleInverse,
    /// The exponent's bias is off by one.
    PowerPlus1,
    PowerCeil,
}

/// Known bugs of blocks.
pub(super) const BUGS: &[(&str, &str, Way)] = &[
    ("truncated", "quotients are cut, not rounded", Way::Truncates),
    ("half-even", "halves are rounded to the even code", Way::TiesToEven),
    ("stored-scale", "codes are of the scale as it is stored, rounded", Way::StoredScale),
    ("sign-missing", "the scale has lost the sign of the largest magnitude", Way::Unsigned),
    ("one-less", "the scale is for one step less: 7, 14, 15, 30 or 126", Way::OneLess),
    ("min-missing", "the smallest element is taken for zero", Way::MinMissing),
    ("min-first", "the minimum is written before the scale", Way::MinFirst),
    ("high-bits-missing", "the plane of fifth bits is not written", Way::HighBitsMissing),
    ("nibbles-swapped", "the halves of a byte are swapped", Way::NibblesSwapped),
    (
        "halves-interleaved",
        "a byte's halves are neighbours, not half a block apart",
        Way::Interleaved,
    ),
    ("scale-inverse", "scales are written as their inverses", Way::ScaleInverse),
    ("scale-bias", "the power of two is twice as large", Way::PowerPlus1),
    ("scale-ceil", "the power of two is rounded up", Way::PowerCeil),
];

/// Elements of a block.
const N: usize = 32;

/// Numbers rounded to f32, or as they are.
#[derive(Clone, Copy)]
struct Arithmetic {
    narrow: bool,
    way: Way,
}

impl Arithmetic {
    fn of(self, x: f64) -> f64 {
        if self.narrow { f64::from(x as f32) } else { x }
    }

    /// Steps of `d` from zero, moved by `by`, before they are made whole.
    fn steps(self, x: f64, d: f64, by: f64) -> f64 {
        if d == 0.0 {
            return by;
        }
        match self.way {
            _ if !self.narrow => x / d + by,
            Way::Divides => self.of(self.of(x / d) + by),
            Way::Fused => self.of(x * self.of(1.0 / d) + by),
            _ => self.of(self.of(x * self.of(1.0 / d)) + by),
        }
    }

    /// The scale that codes are of.
    fn scale(self, d: f64) -> f64 {
        if self.way == Way::StoredScale { half(d) } else { d }
    }

    /// A code from 0 to `top`, of steps from the lowest on.
    fn code(self, x: f64, (d, lowest): (f64, f64), top: f64) -> u8 {
        let code = match self.way {
            Way::Truncates => self.steps(x, d, lowest).trunc(),
            Way::TiesToEven => self.steps(x, d, lowest).round_ties_even(),
            _ => self.steps(x, d, lowest + 0.5).trunc(),
        };
        code.clamp(0.0, top) as u8
    }
}

fn half(x: f64) -> f64 {
    Float::FP16.round(x, Overflow::Special)
}

fn put_half(x: f64, bytes: &mut Vec<u8>) {
    bytes.extend((Float::FP16.encode(x, Overflow::Special) as u16).to_le_bytes());
}

impl QuantizeCase {
    /// The bytes of the matrix's blocks.
    pub(super) fn blocks(
        inputs: &Inputs,
        block: Block,
        (precision, way): (Precision, Way),
    ) -> Vec<f64> {
        let arithmetic = Arithmetic { narrow: precision == Precision::Kernel, way };
        let encoded = |values: &[f64]| match block {
            Block::Q4_0 => centred(arithmetic, values, 8.0),
            Block::Q5_0 => centred(arithmetic, values, 16.0),
            Block::Q4_1 => affine(arithmetic, values, 15.0),
            Block::Q5_1 => affine(arithmetic, values, 31.0),
            Block::Q8_0 => whole(arithmetic, values),
            _ => powers(arithmetic, values),
        };
        inputs.of("x").chunks_exact(N).flat_map(encoded).map(f64::from).collect()
    }
}

/// The element of largest magnitude becomes the lowest code.
fn centred(a: Arithmetic, values: &[f64], middle: f64) -> Vec<u8> {
    let larger = |most: f64, &x: &f64| if x.abs() > most.abs() { x } else { most };
    let most = values[1..].iter().fold(values[0], larger);
    let d = match a.way {
        Way::Unsigned => a.of(most.abs() / middle),
        Way::OneLess => a.of(most / (1.0 - middle)),
        _ => a.of(most / -middle),
    };
    let top = 2.0 * middle - 1.0;
    let codes: Vec<u8> = values.iter().map(|&x| a.code(x, (a.scale(d), middle), top)).collect();
    let mut bytes = vec![];
    put_half(if a.way == Way::ScaleInverse { 1.0 / d } else { d }, &mut bytes);
    packed(a.way, &codes, middle > 8.0, &mut bytes);
    bytes
}

/// So many steps from the smallest to the largest element.
fn affine(a: Arithmetic, values: &[f64], top: f64) -> Vec<u8> {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let least = if a.way == Way::MinMissing { 0.0 } else { least };
    let steps = if a.way == Way::OneLess { top - 1.0 } else { top };
    let d = a.of(a.of(most - least) / steps);
    let moved = |x: f64| a.of(x - if a.way == Way::StoredScale { half(least) } else { least });
    let codes: Vec<u8> = values.iter().map(|&x| a.code(moved(x), (a.scale(d), 0.0), top)).collect();
    let mut bytes = vec![];
    let written = if a.way == Way::ScaleInverse { 1.0 / d } else { d };
    let pair = if a.way == Way::MinFirst { [least, written] } else { [written, least] };
    pair.into_iter().for_each(|x| put_half(x, &mut bytes));
    packed(a.way, &codes, top > 15.0, &mut bytes);
    bytes
}

/// The largest magnitude becomes 127 steps; halves are rounded away from zero.
fn whole(a: Arithmetic, values: &[f64]) -> Vec<u8> {
    let most = values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let d = a.of(most / if a.way == Way::OneLess { 126.0 } else { 127.0 });
    let code = |&x: &f64| {
        let steps = a.steps(x, a.scale(d), 0.0);
        let code = match a.way {
            Way::Truncates => steps.trunc(),
            Way::TiesToEven => steps.round_ties_even(),
            _ => steps.round(),
        };
        code.clamp(-128.0, 127.0) as i8 as u8
    };
    let mut bytes = vec![];
    put_half(if a.way == Way::ScaleInverse { 1.0 / d } else { d }, &mut bytes);
    bytes.extend(values.iter().map(code));
    bytes
}

/// A power of two, then the nearest codes of e2m1, of two as near the one of smaller magnitude.
fn powers(a: Arithmetic, values: &[f64]) -> Vec<u8> {
    let most = values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let power = a.of(most.log2());
    let power = if a.way == Way::PowerCeil { power.ceil() } else { power.floor() };
    let power = if most > 0.0 { power - 2.0 } else { -127.0 };
    let d = 2f64.powf(power);
    let distance = |code: u32, x: f64| a.of((Float::E2M1.decode(code) * d - x).abs());
    let code = |&x: &f64| -> u8 {
        let nearer =
            |best: u32, code: u32| if distance(code, x) < distance(best, x) { code } else { best };
        let nearest = (1..16).fold(0, nearer);
        let even = Float::E2M1.encode(x / d, Overflow::Saturate);
        match a.way {
            Way::TiesToEven => even as u8,
            Way::Truncates if nearest % 8 > 0 && Float::E2M1.decode(nearest % 8) * d > x.abs() => {
                (nearest - 1) as u8
            }
            _ => nearest as u8,
        }
    };
    let codes: Vec<u8> = values.iter().map(code).collect();
    let more = if a.way == Way::PowerPlus1 { 1.0 } else { 0.0 };
    let exponent = if a.way == Way::ScaleInverse { -power } else { power };
    let mut bytes = vec![(exponent + more + 127.0).clamp(0.0, 254.0) as u8];
    packed(a.way, &codes, false, &mut bytes);
    bytes
}

/// Codes in bytes, their fifth bits in a plane before.
fn packed(way: Way, codes: &[u8], wide: bool, bytes: &mut Vec<u8>) {
    if wide {
        let plane =
            codes.iter().enumerate().fold(0u32, |plane, (i, c)| plane | u32::from(c >> 4) << i);
        let plane = if way == Way::HighBitsMissing { 0 } else { plane };
        bytes.extend(plane.to_le_bytes());
    }
    let low = |i: usize| codes[i] & 15;
    let byte = |i: usize| match way {
        Way::NibblesSwapped => low(i + N / 2) | low(i) << 4,
        Way::Interleaved => low(2 * i) | low(2 * i + 1) << 4,
        _ => low(i) | low(i + N / 2) << 4,
    };
    bytes.extend((0..N / 2).map(byte));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::block::quantize;
    use crate::validate::cases::random::Random;
    use crate::validate::{Array, Layout, Stored};

    /// In f32 the bytes are the codec's, which are gguf's, bit for bit.
    #[test]
    fn the_right_way_is_ggmls() {
        let blocks =
            [Block::Q4_0, Block::Q4_1, Block::Q5_0, Block::Q5_1, Block::Q8_0, Block::Mxfp4];
        for (seed, block) in blocks.into_iter().enumerate() {
            let mut random = Random::new(seed as u64);
            let layout = Layout::new("x", "", [("element", 32 * 400)], Stored::Float(Float::FP32));
            let mut x = random.array(layout);
            x.values[..32].fill(0.0);
            x.values
                .iter_mut()
                .enumerate()
                .for_each(|(i, x)| *x *= 2f64.powi((i / 32 % 9) as i32 - 4));
            let narrow: Vec<f32> = x.values.iter().map(|&x| x as f32).collect();
            let inputs = Inputs(vec![Array { layout: x.layout, values: x.values }]);
            let got = QuantizeCase::blocks(&inputs, block, (Precision::Kernel, Way::Right));
            let codec = quantize(block, &narrow).expect("whole blocks");
            let got: Vec<u8> = got.into_iter().map(|b| b as u8).collect();
            assert!(got == codec, "{}", block.name());
        }
    }
}
