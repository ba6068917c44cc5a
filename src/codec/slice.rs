//! Whole slices in bf16, fp16 and any other float, as fast as a core can.

use super::float::{Float, Overflow};
use half::f16;
use half::slice::HalfFloatSliceExt;

/// The bf16 pattern nearest to `x`; NaN keeps its sign and no payload.
pub const fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 & 0x8000 | 0x7fc0;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The value of a bf16 pattern.
pub const fn from_bf16(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

/// The fp16 pattern nearest to `x`.
pub fn to_fp16(x: f32) -> u16 {
    f16::from_f32(x).to_bits()
}

/// The value of an fp16 pattern.
pub fn from_fp16(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// Rounds every element to the format and leaves it as f32; beyond its range as `overflow` says.
pub fn round(format: Float, values: &mut [f32], overflow: Overflow) {
    match (format, overflow) {
        (Float::FP32, Overflow::Special) => {}
        (Float::BF16, Overflow::Special) => {
            values.iter_mut().for_each(|x| *x = from_bf16(to_bf16(*x)));
        }
        (Float::FP16, Overflow::Special) => {
            let mut half = [f16::ZERO; 64];
            for part in values.chunks_mut(half.len()) {
                let half = &mut half[..part.len()];
                half.convert_from_f32_slice(part);
                half.convert_to_f32_slice(part);
            }
        }
        _ => values.iter_mut().for_each(|x| *x = format.round(f64::from(*x), overflow) as f32),
    }
}

/// Rounds every element to the format and leaves it as f64; rounded once, from the f64.
pub fn round_f64(format: Float, values: &mut [f64], overflow: Overflow) {
    match (format, overflow) {
        (Float::FP32, Overflow::Special) => {
            values.iter_mut().for_each(|x| *x = f64::from(*x as f32))
        }
        _ => values.iter_mut().for_each(|x| *x = format.round(*x, overflow)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fast forms against the generic codec, over patterns of f32 spread evenly.
    #[test]
    fn the_fast_forms_round_as_the_codec_does() {
        let patterns = (0..=u32::MAX).step_by(9973);
        let values: Vec<f32> = patterns.map(f32::from_bits).collect();
        for format in [Float::FP32, Float::BF16, Float::FP16, Float::E4M3FN, Float::E2M1] {
            let mut fast = values.clone();
            round(format, &mut fast, Overflow::Special);
            for (x, y) in values.iter().zip(fast) {
                let slow = format.round(f64::from(*x), Overflow::Special) as f32;
                let same = slow.to_bits() == y.to_bits() || slow.is_nan() && y.is_nan();
                assert!(same, "{format:?} {x:e}: {slow:e} {y:e}");
            }
        }
    }

    #[test]
    fn wide_values_are_rounded_once() {
        // Through f32 it would become a tie and go to the even neighbour below.
        let mut x = [1.0 + 2.0_f64.powi(-8) + 2.0_f64.powi(-40)];
        round_f64(Float::BF16, &mut x, Overflow::Special);
        assert_eq!(x, [1.0078125]);
    }
}
