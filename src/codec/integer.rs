//! Two's complement integers of a few bits, as quantizers and as casts make them.

/// An integer of at most 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Integer {
    bits: u32,
    signed: bool,
}

impl Integer {
    /// 32 bits, signed.
    pub const INT32: Self = Self { bits: 32, signed: true };
    /// 8 bits, signed.
    pub const INT8: Self = Self { bits: 8, signed: true };
    /// 4 bits, signed.
    pub const INT4: Self = Self { bits: 4, signed: true };
    /// 3 bits, signed.
    pub const INT3: Self = Self { bits: 3, signed: true };
    /// 2 bits, signed.
    pub const INT2: Self = Self { bits: 2, signed: true };

    /// The same bits without a sign.
    pub const fn unsigned(self) -> Self {
        Self { signed: false, ..self }
    }

    /// Bits of a pattern.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    const fn mask(self) -> u32 {
        u32::MAX >> (32 - self.bits)
    }

    /// The smallest value.
    pub const fn smallest(self) -> i64 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    /// The largest value.
    pub const fn largest(self) -> i64 {
        self.smallest() + self.mask() as i64
    }

    /// The value of a pattern; bits above those of the format are ignored.
    pub const fn decode(self, bits: u32) -> i64 {
        let low = (bits & self.mask()) as i64;
        if low > self.largest() { low - self.mask() as i64 - 1 } else { low }
    }

    /// The pattern nearest to `x`, of two as near the even one; the nearest end of the range beyond it, zero
    /// for NaN. What quantizers do, and ONNX's `QuantizeLinear`.
    pub fn encode(self, x: f64) -> u32 {
        let nearest = x.round_ties_even().clamp(self.smallest() as f64, self.largest() as f64);
        nearest as i64 as u32 & self.mask()
    }

    /// `x` as the format has it, rounded as by [`Self::encode`].
    pub fn round(self, x: f64) -> f64 {
        self.decode(self.encode(x)) as f64
    }

    /// The pattern of `x` without its fraction, wrapped into the format, zero beyond 32 bits: a cast as
    /// numpy's and `ml_dtypes`'.
    pub fn cast(self, x: f64) -> u32 {
        let whole = x.trunc();
        let fits = whole >= f64::from(i32::MIN) && whole <= f64::from(i32::MAX);
        if fits { whole as i64 as u32 & self.mask() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantizers_round_to_even_and_saturate() {
        let values = [2.5, 3.5, -2.5, 7.4, 7.5, -8.5, 1e30, f64::NEG_INFINITY, f64::NAN];
        let rounded = values.map(|x| Integer::INT4.round(x));
        assert_eq!(rounded, [2.0, 4.0, -2.0, 7.0, 7.0, -8.0, 7.0, -8.0, 0.0]);
        assert_eq!(Integer::INT4.unsigned().round(-1.0), 0.0);
        assert_eq!(Integer::INT4.unsigned().round(99.0), 15.0);
    }

    #[test]
    fn casts_truncate_and_wrap() {
        let cast = |x| Integer::INT2.decode(Integer::INT2.cast(x));
        assert_eq!([1.9, 2.5, -2.7, 7.6, 1e12].map(cast), [1, -2, -2, -1, 0]);
    }

    #[test]
    fn every_pattern_comes_back() {
        for format in [Integer::INT8, Integer::INT4, Integer::INT3, Integer::INT2] {
            for format in [format, format.unsigned()] {
                for bits in 0..1 << format.bits() {
                    let value = format.decode(bits) as f64;
                    assert_eq!((format.encode(value), format.cast(value)), (bits, bits));
                }
            }
        }
    }
}
