//! Binary floating point of any width: sign, exponent, mantissa, and which patterns are special.

/// What takes the place of a magnitude that rounds beyond the largest finite one (A94).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// The largest finite magnitude, for infinities too; the hardware casts of PTX (`.satfinite`) and
    /// torch's casts to e4m3fn.
    Saturate,
    /// Infinity where the format has it, else NaN, else the largest finite magnitude; `ml_dtypes`' casts.
    Special,
}

/// Which patterns are no finite number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Specials {
    /// The largest exponent: infinities and NaNs (IEEE 754).
    Ieee,
    /// All ones is NaN; no infinities (`fn`).
    Ones,
    /// The pattern of negative zero is NaN; no infinities, one zero (`fnuz`).
    NegativeZero,
    /// None: every pattern is finite.
    Finite,
    /// An exponent alone, no sign and no zero; all ones is NaN (e8m0).
    Power,
}

/// A binary floating-point format of at most 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Float {
    exponent: u32,
    mantissa: u32,
    bias: i32,
    specials: Specials,
}

impl Float {
    /// IEEE 754 binary32.
    pub const FP32: Self = Self::ieee(8, 23);
    /// TF32's 19 bits: the upper ones of binary32.
    pub const TF32: Self = Self::ieee(8, 10);
    /// bfloat16.
    pub const BF16: Self = Self::ieee(8, 7);
    /// IEEE 754 binary16.
    pub const FP16: Self = Self::ieee(5, 10);
    /// e5m2 of the OCP 8-bit floating point specification.
    pub const E5M2: Self = Self::ieee(5, 2);
    /// e5m2 with one zero and one NaN (Noune et al., arXiv 2206.02915).
    pub const E5M2FNUZ: Self = Self::new(5, 2, 16, Specials::NegativeZero);
    /// e4m3 with infinities, as IEEE 754 would have it.
    pub const E4M3: Self = Self::ieee(4, 3);
    /// e4m3 of the OCP 8-bit floating point specification: no infinities, largest 448.
    pub const E4M3FN: Self = Self::new(4, 3, 7, Specials::Ones);
    /// e4m3 with one zero and one NaN (Noune et al., arXiv 2206.02915): largest 240.
    pub const E4M3FNUZ: Self = Self::new(4, 3, 8, Specials::NegativeZero);
    /// e4m3 with one zero, one NaN and a bias of 11: largest 30.
    pub const E4M3B11FNUZ: Self = Self::new(4, 3, 11, Specials::NegativeZero);
    /// e3m4 with infinities.
    pub const E3M4: Self = Self::ieee(3, 4);
    /// e3m2 of the OCP microscaling specification: largest 28.
    pub const E3M2: Self = Self::new(3, 2, 3, Specials::Finite);
    /// e2m3 of the OCP microscaling specification: largest 7.5.
    pub const E2M3: Self = Self::new(2, 3, 1, Specials::Finite);
    /// e2m1 of the OCP microscaling specification: 0, 0.5, 1, 1.5, 2, 3, 4, 6.
    pub const E2M1: Self = Self::new(2, 1, 1, Specials::Finite);
    /// e8m0 of the OCP microscaling specification: powers of two from -127 to 127.
    pub const E8M0: Self = Self::new(8, 0, 127, Specials::Power);

    /// Every format above, with the name that `ml_dtypes` and numpy use.
    pub const ALL: &[(&'static str, Self)] = &[
        ("float32", Self::FP32),
        ("tf32", Self::TF32),
        ("bfloat16", Self::BF16),
        ("float16", Self::FP16),
        ("float8_e5m2", Self::E5M2),
        ("float8_e5m2fnuz", Self::E5M2FNUZ),
        ("float8_e4m3", Self::E4M3),
        ("float8_e4m3fn", Self::E4M3FN),
        ("float8_e4m3fnuz", Self::E4M3FNUZ),
        ("float8_e4m3b11fnuz", Self::E4M3B11FNUZ),
        ("float8_e3m4", Self::E3M4),
        ("float6_e3m2fn", Self::E3M2),
        ("float6_e2m3fn", Self::E2M3),
        ("float4_e2m1fn", Self::E2M1),
        ("float8_e8m0fnu", Self::E8M0),
    ];

    const fn new(exponent: u32, mantissa: u32, bias: i32, specials: Specials) -> Self {
        Self { exponent, mantissa, bias, specials }
    }

    const fn ieee(exponent: u32, mantissa: u32) -> Self {
        Self::new(exponent, mantissa, (1 << (exponent - 1)) - 1, Specials::Ieee)
    }

    /// Bits of a pattern, the sign included.
    pub const fn bits(self) -> u32 {
        self.exponent + self.mantissa + if self.is_signed() { 1 } else { 0 }
    }

    /// Bits of the mantissa, the implicit one not counted.
    pub const fn mantissa(self) -> u32 {
        self.mantissa
    }

    /// Which patterns are no finite number.
    pub const fn specials(self) -> Specials {
        self.specials
    }

    const fn is_signed(self) -> bool {
        !matches!(self.specials, Specials::Power)
    }

    const fn sign(self) -> u32 {
        if self.is_signed() { 1 << (self.exponent + self.mantissa) } else { 0 }
    }

    /// Pattern of the largest finite magnitude.
    const fn largest_bits(self) -> u32 {
        let ones = ((1u64 << (self.exponent + self.mantissa)) - 1) as u32;
        match self.specials {
            Specials::Ieee => ones - (1 << self.mantissa),
            Specials::Ones | Specials::Power => ones - 1,
            Specials::NegativeZero | Specials::Finite => ones,
        }
    }

    /// Exponent of the smallest normal number, which subnormal ones share.
    const fn lowest(self) -> i32 {
        if self.is_signed() { 1 - self.bias } else { -self.bias }
    }

    /// The largest finite number.
    pub fn largest(self) -> f64 {
        self.decode(self.largest_bits())
    }

    /// The smallest normal number above zero.
    pub fn smallest_normal(self) -> f64 {
        power(self.lowest())
    }

    /// The distance from the number that `x` rounds to, to the next of larger magnitude, were there no
    /// largest one.
    pub fn ulp(self, x: f64) -> f64 {
        let step = power(exponent(self.smallest_normal().max(x.abs())) - self.mantissa as i32);
        let rounded = (x.abs() / step).round_ties_even() * step;
        power(exponent(self.smallest_normal().max(rounded)) - self.mantissa as i32)
    }

    /// The pattern of NaN; of zero with the opposite sign where the format has no NaN, as in `ml_dtypes`.
    const fn nan(self, negative: bool) -> u32 {
        let sign = if negative { self.sign() } else { 0 };
        let ones = ((1u64 << (self.exponent + self.mantissa)) - 1) as u32;
        match self.specials {
            Specials::Ieee => sign | (ones ^ ((1 << (self.mantissa - 1)) - 1)),
            Specials::Ones => sign | ones,
            Specials::NegativeZero => self.sign(),
            Specials::Finite => self.sign() ^ sign,
            Specials::Power => ones,
        }
    }

    /// The value of a pattern; bits above those of the format are ignored.
    pub fn decode(self, bits: u32) -> f64 {
        let ones = ((1u64 << (self.exponent + self.mantissa)) - 1) as u32;
        let magnitude = bits & ones;
        let negative = bits & self.sign() != 0;
        if magnitude > self.largest_bits() {
            let infinite = self.specials == Specials::Ieee && magnitude == self.largest_bits() + 1;
            let value = if infinite { f64::INFINITY } else { f64::NAN };
            return if negative { -value } else { value };
        }
        if self.specials == Specials::NegativeZero && negative && magnitude == 0 {
            return f64::NAN;
        }
        if self.specials == Specials::Power {
            return power(magnitude as i32 - self.bias);
        }
        let fraction = magnitude & ((1 << self.mantissa) - 1);
        let field = (magnitude >> self.mantissa) as i32;
        let implicit = if field == 0 { 0 } else { 1 << self.mantissa };
        let step = power(field.max(1) - self.bias - self.mantissa as i32);
        let value = f64::from(fraction + implicit) * step;
        if negative { -value } else { value }
    }

    /// The pattern nearest to `x`, of two as near the one that is even; rounded once, from `x` as it is.
    ///
    /// e8m0 has neither zero nor sign: those are NaN. Magnitudes below the smallest become it, those between the
    /// smallest and the next become the next, and of two as near the larger is taken, all as in `ml_dtypes`.
    /// NaN keeps its sign and no payload.
    pub fn encode(self, x: f64, overflow: Overflow) -> u32 {
        let negative = x.is_sign_negative();
        if x.is_nan() {
            return self.nan(negative);
        }
        if self.specials == Specials::Power && x <= 0.0 {
            return self.nan(false);
        }
        let sign = if negative { self.sign() } else { 0 };
        let magnitude = if x.is_infinite() { u32::MAX } else { self.magnitude(x.abs()) };
        if magnitude > self.largest_bits() {
            return match (overflow, self.specials) {
                (Overflow::Saturate, _) | (_, Specials::Finite) => sign | self.largest_bits(),
                (_, Specials::Ieee) => sign | (self.largest_bits() + 1),
                _ => self.nan(negative),
            };
        }
        // A format with one zero has no negative one.
        let zero = magnitude == 0 && self.specials == Specials::NegativeZero;
        if zero { 0 } else { sign | magnitude }
    }

    /// The pattern without sign, which may lie above the largest finite one; `x` is finite, not negative.
    fn magnitude(self, x: f64) -> u32 {
        let at = exponent(x).max(self.lowest());
        // At most a power of two above the largest of 32 bits: whatever is larger overflows alike.
        let above = (at - self.lowest()).min(1 << self.exponent) as u32;
        let mantissa = self.mantissa as i32;
        // Exact: a product with a power of two that is not subnormal where rounding matters.
        let exact = x * power(mantissa - at);
        let steps = exact.round_ties_even();
        if self.specials == Specials::Power {
            let up = if at == self.lowest() { exact > 1.0 } else { steps > 1.0 };
            return above + u32::from(up);
        }
        // A carry out of the mantissa, or of the subnormal numbers, raises the exponent by itself.
        (u64::from(above) << self.mantissa).saturating_add(steps as u64).min(u64::from(u32::MAX))
            as u32
    }

    /// `x` as the format has it.
    pub fn round(self, x: f64, overflow: Overflow) -> f64 {
        let above = exponent(x) - self.lowest();
        // Normal, and too small to round beyond the largest: the bits behind the mantissa go.
        if self.is_signed() && above >= 0 && above < (1 << self.exponent) - 3 {
            let behind = 52 - self.mantissa;
            let odd = (x.to_bits() >> behind) & 1;
            let carried = x.to_bits() + (1 << (behind - 1)) - 1 + odd;
            return f64::from_bits(carried >> behind << behind);
        }
        self.decode(self.encode(x, overflow))
    }
}

/// The exponent of the power of two at or below `x`; at least -1023.
fn exponent(x: f64) -> i32 {
    ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023
}

/// Two to the power of `n`, for every `n` from -1022 to 1023.
fn power(n: i32) -> f64 {
    f64::from_bits(((n.clamp(-1022, 1023) + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of the OCP specifications.
    #[test]
    fn the_largest_numbers_are_the_published_ones() {
        let largest = [
            (Float::E5M2, 57344.0),
            (Float::E4M3FN, 448.0),
            (Float::E4M3FNUZ, 240.0),
            (Float::E3M2, 28.0),
            (Float::E2M3, 7.5),
            (Float::E2M1, 6.0),
            (Float::FP16, 65504.0),
            (Float::FP32, f64::from(f32::MAX)),
        ];
        for (format, value) in largest {
            assert_eq!(format.largest(), value, "{format:?}");
        }
    }

    #[test]
    fn every_pattern_of_16_bits_or_less_comes_back() {
        for &(name, format) in Float::ALL.iter().filter(|(_, f)| f.bits() <= 19) {
            for bits in 0..1 << format.bits() {
                let value = format.decode(bits);
                for overflow in [Overflow::Saturate, Overflow::Special] {
                    let back = format.encode(value, overflow);
                    let same = format.decode(back);
                    let capped = overflow == Overflow::Saturate && value.is_infinite();
                    assert!(
                        capped || back == bits || value.is_nan() && same.is_nan(),
                        "{name} {bits:x}"
                    );
                }
            }
        }
    }

    /// Numbers of every exponent and sign, those halfway between two of the format among them.
    #[test]
    fn to_round_is_to_encode_and_decode() {
        for &(name, format) in Float::ALL {
            let drop = 52 - format.mantissa().min(51);
            for at in 0..20_000_u64 {
                let noise = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let halfway = noise >> drop << drop | 1 << (drop - 1);
                let near = [noise, halfway, halfway - 1, halfway + 1];
                let (exponent, sign) = (at % 320 + 863, at & 1);
                for mantissa in near.map(|n| n & ((1 << 52) - 1)) {
                    let x = f64::from_bits(sign << 63 | exponent << 52 | mantissa);
                    for overflow in [Overflow::Saturate, Overflow::Special] {
                        let whole = format.decode(format.encode(x, overflow));
                        let round = format.round(x, overflow);
                        let same = whole.to_bits() == round.to_bits();
                        assert!(same || whole.is_nan() && round.is_nan(), "{name} {x:e} {round:e}");
                    }
                }
            }
        }
    }

    #[test]
    fn overflow_is_the_callers_choice() {
        let fn8 = |x, overflow| Float::E4M3FN.round(x, overflow);
        assert_eq!(fn8(464.0, Overflow::Special), 448.0);
        assert!(fn8(464.1, Overflow::Special).is_nan());
        assert_eq!(fn8(f64::NEG_INFINITY, Overflow::Saturate), -448.0);
        assert_eq!(Float::E5M2.round(1e9, Overflow::Special), f64::INFINITY);
        assert_eq!(Float::E2M1.round(-1e300, Overflow::Special), -6.0);
        assert_eq!(Float::FP32.encode(1e300, Overflow::Saturate), f32::MAX.to_bits());
        assert_eq!(Float::E8M0.encode(1e300, Overflow::Special), 255);
    }

    #[test]
    fn a_unit_in_the_last_place_is_that_of_the_rounded_number() {
        assert_eq!(Float::BF16.ulp(1.0), 0.0078125);
        assert_eq!(Float::BF16.ulp(1.999), 0.015625);
        assert_eq!(Float::E2M1.ulp(0.0), 0.5);
        assert_eq!(Float::FP32.ulp(1e-44), 2.0_f64.powi(-149));
    }
}
