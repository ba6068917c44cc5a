//! The numbers that the elements of a group can take, and the scale that puts them there.

use crate::codec::{Float, Number, Overflow};
use crate::dtype::{Packing, Scaled};

/// Codes that an element can have, before the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// `-2^(b-1) ..= 2^(b-1) - 1`, with `s = max |w| / (2^(b-1) - 1)`: SmoothQuant's and AWQ's integers
    /// without zero points.
    Symmetric(u32),
    /// `0 ..= 2^b - 1` around `2^(b-1)`, with `s = 2 max |w| / (2^b - 1)`: symmetric integers of the GPTQ
    /// authors' code.
    Centred(u32),
    /// `0 ..= 2^b - 1` around `z = round(-min / s)`, with `s = (max - min) / (2^b - 1)`; the range is widened
    /// to hold 0, so that 0 stays 0 (Jacob et al., arXiv 1712.05877; the GPTQ authors' code).
    Asymmetric(u32),
    /// The finite numbers of a float, with `s = max |w| / largest`; no zero point.
    Float(Float),
}

/// Levels, and the format that scales are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Codes of an element.
    pub levels: Levels,
    /// Format of a scale; `None` keeps it as computed.
    pub scale: Option<Float>,
}

/// Scale and zero point of a group: `w = s (code - z)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Scale (s), above zero and finite.
    pub scale: f64,
    /// Zero point (z), a code; 0 where there is none.
    pub zero: f64,
}

/// Smallest and largest finite element of a group, 0 included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// At most 0.
    pub min: f64,
    /// At least 0.
    pub max: f64,
}

impl Range {
    /// The range of values; NaN and infinities do not count.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let zero = Self { min: 0.0, max: 0.0 };
        values.filter(|x| x.is_finite()).fold(zero, |range, x| range.with(x))
    }

    /// The range widened to hold `x`.
    pub(super) const fn with(self, x: f64) -> Self {
        Self { min: self.min.min(x), max: self.max.max(x) }
    }

    /// The largest magnitude.
    pub const fn largest(self) -> f64 {
        self.max.max(-self.min)
    }
}

impl Grid {
    /// The grid of a storage with scales. Integers with a zero point are [`Levels::Asymmetric`], those without
    /// [`Levels::Symmetric`], in GPTQ's packing [`Levels::Centred`]; floats have no zero point (A100).
    pub const fn of(scaled: &Scaled) -> Self {
        let levels = match (Number::of(scaled.element), scaled.zero_point, scaled.packing) {
            (Number::Float(float), ..) => Levels::Float(float),
            (Number::Integer(i), true, _) => Levels::Asymmetric(i.bits()),
            (Number::Integer(i), false, Packing::Gptq { .. }) => Levels::Centred(i.bits()),
            (Number::Integer(i), false, _) => Levels::Symmetric(i.bits()),
        };
        Self { levels, scale: Float::of(scaled.scale) }
    }

    /// A grid whose scales are kept as computed.
    pub const fn exact(levels: Levels) -> Self {
        Self { levels, scale: None }
    }

    /// Scale and zero point of a group with that range.
    pub fn fit(&self, range: Range) -> Affine {
        let top = |bits: u32| 2f64.powi(bits as i32) - 1.0;
        let scale = match self.levels {
            Levels::Symmetric(bits) => range.largest() / top(bits - 1),
            Levels::Centred(bits) => range.largest() / (top(bits) / 2.0),
            Levels::Asymmetric(bits) => range.max / top(bits) - range.min / top(bits),
            Levels::Float(float) => range.largest() / float.largest(),
        };
        let scale = if range.largest() == 0.0 { 1.0 } else { self.stored(scale) };
        let zero = match self.levels {
            Levels::Symmetric(_) | Levels::Float(_) => 0.0,
            Levels::Centred(bits) => 2f64.powi(bits as i32 - 1),
            Levels::Asymmetric(bits) => {
                (-range.min / scale).round_ties_even().clamp(0.0, top(bits))
            }
        };
        Affine { scale, zero }
    }

    /// The scale as it is stored, above zero and finite.
    fn stored(&self, scale: f64) -> f64 {
        let Some(format) = self.scale else { return scale.clamp(f64::MIN_POSITIVE, f64::MAX) };
        let rounded = format.round(scale, Overflow::Saturate);
        if rounded > 0.0 { rounded } else { format.ulp(0.0) }
    }

    /// The code nearest to `x`, the nearest end beyond the range: an integer, or a float's pattern. NaN has the
    /// code of 0.
    pub fn code(&self, affine: Affine, x: f64) -> i16 {
        let x = if x.is_nan() { 0.0 } else { x / affine.scale };
        let (low, high) = match self.levels {
            Levels::Float(float) => return float.encode(x, Overflow::Saturate) as i16,
            Levels::Symmetric(bits) => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            Levels::Centred(bits) | Levels::Asymmetric(bits) => (0, (1 << bits) - 1),
        };
        (x.round_ties_even() + affine.zero).clamp(f64::from(low), f64::from(high)) as i16
    }

    /// The value of a code.
    pub fn value(&self, affine: Affine, code: i16) -> f64 {
        let number = match self.levels {
            Levels::Float(float) => float.decode(u32::from(code.cast_unsigned())),
            _ => f64::from(code) - affine.zero,
        };
        affine.scale * number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_each_kind() {
        let range = Range::of([-1.0, 0.25, 3.0, f64::NAN, f64::INFINITY].into_iter());
        assert_eq!(range, Range { min: -1.0, max: 3.0 });
        let at = |levels, x| {
            let grid = Grid::exact(levels);
            let affine = grid.fit(range);
            let code = grid.code(affine, x);
            (affine.scale, affine.zero, code, grid.value(affine, code))
        };
        assert_eq!(at(Levels::Symmetric(3), -1.0), (1.0, 0.0, -1, -1.0));
        assert_eq!(at(Levels::Symmetric(3), -99.0), (1.0, 0.0, -4, -4.0));
        assert_eq!(at(Levels::Centred(2), 3.0), (2.0, 2.0, 3, 2.0));
        assert_eq!(at(Levels::Asymmetric(3), 3.0), (4.0 / 7.0, 2.0, 7, 5.0 * (4.0 / 7.0)));
        assert_eq!(at(Levels::Float(Float::E2M1), 1.3), (0.5, 0.0, 0b0101, 1.5));
        assert_eq!(at(Levels::Asymmetric(3), f64::NAN).3, 0.0);
        assert_eq!(at(Levels::Asymmetric(3), f64::NEG_INFINITY).2, 0);
    }

    #[test]
    fn scales_are_stored_above_zero_and_finite() {
        let grid = Grid { levels: Levels::Symmetric(8), scale: Some(Float::FP16) };
        let scale = |max| grid.fit(Range { min: 0.0, max }).scale;
        assert_eq!(scale(127.0 * 0.1), Float::FP16.round(0.1, Overflow::Special));
        assert_eq!((scale(1e-30), scale(1e30), scale(0.0)), (2f64.powi(-24), 65504.0, 1.0));
        let exact =
            |max: f64| Grid::exact(Levels::Asymmetric(2)).fit(Range { min: -max, max }).scale;
        assert!(exact(f64::MAX).is_finite() && exact(5e-324) > 0.0);
    }
}
