//! Microscaling: 32 elements of fp8, fp6 or fp4 and a power of two (OCP Microscaling Formats
//! specification 1.0).

use super::float::{Float, Overflow};
use super::groups::{Groups, largest};

/// Which power of two a group gets for its largest magnitude `m` (A96).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScaleMode {
    /// `2^(floor(log2 m) - e)`, `e` the exponent of the element's largest number: the specification's section
    /// 6.3. Magnitudes near the next power of two saturate.
    Floor,
    /// The same with `ceil(log2 m)`.
    Ceil,
    /// The same with `m` first rounded, halves up, to the mantissa of the element.
    Even,
    /// The smallest power of two at or above `m` over the element's largest number: what Blackwell's conversion
    /// does (cuBLAS documentation, "1D Block Scaling for FP8 and FP4 Data Types"). Nothing saturates.
    RoundUp,
}

/// A microscaling format of some element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mx {
    /// Format of an element.
    pub element: Float,
    /// How scales are chosen.
    pub mode: ScaleMode,
}

impl Mx {
    /// Elements that share a scale.
    pub const GROUP: usize = 32;

    /// Scales in e8m0 and elements as bits. Elements beyond the largest number saturate; a NaN makes the scale
    /// of its group NaN.
    pub fn quantize(self, values: &[f32]) -> Groups {
        Groups::of(values, Self::GROUP, |values, codes| {
            let scale = self.scale(largest(values));
            let by = self.by(scale);
            for (code, x) in codes.iter_mut().zip(values) {
                *code = self.element.encode(f64::from(by(*x)), Overflow::Saturate) as u8;
            }
            scale
        })
    }

    /// The values of groups.
    pub fn dequantize(self, groups: &Groups) -> Vec<f32> {
        groups.values(Self::GROUP, self.element, |e| Float::E8M0.decode(u32::from(e)) as f32)
    }

    /// The values as the format has them.
    pub fn round(self, values: &[f32]) -> Vec<f32> {
        self.dequantize(&self.quantize(values))
    }

    /// The scale's bits.
    fn scale(self, most: f32) -> u8 {
        if most.is_nan() {
            return 255;
        }
        if self.mode == ScaleMode::RoundUp {
            let needed = most / self.element.largest() as f32;
            if needed.is_infinite() {
                return 254;
            }
            // A logarithm in f32, which rounds: a hair above a power of two takes that power.
            let power = (f64::from(needed).log2() as f32).ceil();
            return (power.clamp(-127.0, 127.0) + 127.0) as u8;
        }
        let bits = match self.mode {
            ScaleMode::Even => most.to_bits() + (1 << (22 - self.element.mantissa())),
            _ => most.to_bits(),
        };
        let above = self.mode == ScaleMode::Ceil && bits & 0x007f_ffff != 0;
        let exponent = (bits >> 23) as i32 + i32::from(above);
        let top = self.element.largest().log2().floor() as i32;
        (exponent - top).clamp(0, 255) as u8
    }

    /// What divides a value by a scale: torchao divides, with 2^-126 at least, but multiplies under `RoundUp`,
    /// where it takes the smallest scale for one.
    fn by(self, scale: u8) -> impl Fn(f32) -> f32 {
        let divisor = f32::from_bits(u32::from(scale.max(1)) << 23);
        let factor = match scale {
            0 => 1.0,
            254 => f32::from_bits(1 << 22),
            _ => f32::from_bits(u32::from(254 - scale.min(254)) << 23),
        };
        let multiplies = self.mode == ScaleMode::RoundUp;
        move |x| if multiplies { x * factor } else { x / divisor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_decides_whether_the_largest_saturates() {
        let mut values = [0.0; 32];
        values[3] = 7.6;
        let round = |mode| Mx { element: Float::E2M1, mode }.round(&values)[3];
        assert_eq!(round(ScaleMode::Floor), 6.0);
        assert_eq!(round(ScaleMode::Ceil), 8.0);
        assert_eq!(round(ScaleMode::Even), 8.0);
        assert_eq!(round(ScaleMode::RoundUp), 8.0);
    }

    #[test]
    fn a_last_group_may_be_shorter_and_nan_stays_in_its_group() {
        let mut values = vec![1.0; 40];
        values[39] = f32::NAN;
        let rounded = Mx { element: Float::E4M3FN, mode: ScaleMode::Floor }.round(&values);
        assert!(
            rounded[..32].iter().all(|x| *x == 1.0) && rounded[32..].iter().all(|x| x.is_nan())
        );
    }
}
