//! Codes of 8 bits: what caches keep and products are written as, and how kernels go wrong that write them.

use super::random::Random;
use crate::codec::{Float, Overflow};
use crate::formats::Kind;
use crate::validate::Stored;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Codes of 8 bits, with scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codes {
    /// e4m3fn
    Fp8E4m3,
    /// e5m2
    Fp8E5m2,
    /// 8-bit integers
    Int8,
}

impl Codes {
    /// The float, where it is one.
    pub const fn float(self) -> Option<Float> {
        match self {
            Self::Fp8E4m3 => Some(Float::E4M3FN),
            Self::Fp8E5m2 => Some(Float::E5M2),
            Self::Int8 => None,
        }
    }

    /// How a code is stored.
    pub const fn stored(self) -> Stored {
        match self.float() {
            Some(float) => Stored::Float(float),
            None => Stored::Integer(Kind::I8),
        }
    }

    /// Floats of 8 bits.
    pub(super) const fn is_float(self) -> bool {
        self.float().is_some()
    }

    /// The largest code.
    pub(super) fn largest(self) -> f64 {
        self.float().map_or(127.0, Float::largest)
    }

    /// A random code; never a zero with a sign, which e4m3fnuz has no place for.
    pub(super) fn random(self, random: &mut Random) -> f64 {
        match self {
            Self::Int8 => random.below(255) as f64 - 127.0,
            _ => self.stored().round(2.0 * random.unit()) + 0.0,
        }
    }

    /// The largest scale that numbers of a deviation of 1.6 or less have, of random codes.
    pub(super) const fn largest_scale(self) -> f64 {
        if self.is_float() { 0.8 } else { 0.8 * 2.0 / 73.0 }
    }

    /// A number half way between two codes, near `x`.
    pub(super) fn tie(self, x: f64) -> f64 {
        match self.float() {
            None => x.floor() + 0.5,
            Some(float) => {
                let code = float.round(x, Overflow::Saturate);
                code + (0.5 * float.ulp(code)).copysign(code)
            }
        }
    }

    /// What stands for overflow where a kernel does not saturate.
    pub(super) const fn beyond(self) -> &'static str {
        match self {
            Self::Fp8E4m3 => "NaN",
            Self::Fp8E5m2 => "infinity",
            Self::Int8 => "the code 256 below or above",
        }
    }
}

/// What a code of one float stands for in another.
pub(super) fn reread(code: f64, from: Float, to: Float) -> f64 {
    to.decode(from.encode(code, Overflow::Special))
}

impl std::fmt::Display for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.pad(value.get_name()))
    }
}

/// What a code beyond the range becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    /// The nearest end.
    Saturates,
    /// NaN or infinity; integers wrap.
    Special,
    /// The nearest of -127 and 127.
    Symmetric,
}

/// How a quotient becomes a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    TiesToEven,
    HalfAway,
    TowardZero,
}

/// How quotients become codes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storing {
    pub(super) beyond: Beyond,
    pub(super) rounding: Rounding,
    /// The float that codes are written in, where it is not the case's.
    pub(super) other: Option<Float>,
}

/// A known bug of storing: its name, what is wrong, and how it stores.
pub(super) type StoringBug = (&'static str, &'static str, Storing);

impl Storing {
    /// Right: to the nearest, ties to even, the nearest end beyond the range.
    pub(super) const SATURATING: Self =
        Self { beyond: Beyond::Saturates, rounding: Rounding::TiesToEven, other: None };

    /// The bugs of storing such codes.
    pub(super) fn bugs(self, codes: Codes) -> Vec<StoringBug> {
        let beyond = |beyond| Self { beyond, ..self };
        let rounding = |rounding| Self { rounding, ..self };
        let other = |float| Self { other: Some(float), ..self };
        let cut = "quotients are cut, not rounded";
        let ends = "what overflows becomes the nearest end, where the case has another rule";
        let mut bugs = vec![
            ("toward-zero", cut, rounding(Rounding::TowardZero)),
            ("half-away", "halves are rounded away from zero", rounding(Rounding::HalfAway)),
        ];
        if self.beyond != Beyond::Saturates {
            bugs.push(("saturates", ends, beyond(Beyond::Saturates)));
        }
        let special = beyond(Beyond::Special);
        match codes {
            Codes::Int8 => bugs.extend([
                ("wraps", "codes beyond the range wrap", special),
                ("symmetric", "codes end at -127, not at -128", beyond(Beyond::Symmetric)),
            ]),
            Codes::Fp8E4m3 => bugs.extend([
                ("overflow-special", "what overflows becomes NaN", special),
                ("written-fnuz", "codes are written in e4m3fnuz", other(Float::E4M3FNUZ)),
                ("written-other", "codes are written in the other fp8", other(Float::E5M2)),
            ]),
            Codes::Fp8E5m2 => bugs.extend([
                ("overflow-special", "what overflows becomes infinite", special),
                ("written-other", "codes are written in the other fp8", other(Float::E4M3FN)),
            ]),
        }
        bugs
    }

    /// The code of a quotient.
    pub(super) fn code(self, dtype: Codes, x: f64) -> f64 {
        let Some(float) = dtype.float() else { return self.integer(x) };
        match self.other {
            Some(other) => float.decode(other.encode(x, Overflow::Saturate)),
            None => self.rounded(float, x),
        }
    }

    fn integer(self, x: f64) -> f64 {
        let whole = match self.rounding {
            Rounding::TiesToEven => x.round_ties_even(),
            Rounding::HalfAway => x.round(),
            Rounding::TowardZero => x.trunc(),
        };
        match self.beyond {
            Beyond::Saturates => whole.clamp(-128.0, 127.0),
            Beyond::Symmetric => whole.clamp(-127.0, 127.0),
            Beyond::Special => (whole + 128.0).rem_euclid(256.0) - 128.0,
        }
    }

    fn rounded(self, float: Float, x: f64) -> f64 {
        let special = float.round(x, Overflow::Special);
        if !special.is_finite() && self.beyond == Beyond::Special {
            return special;
        }
        let nearest = float.encode(x.abs(), Overflow::Saturate);
        let of = |pattern: u32| float.decode(pattern);
        let pattern = match self.rounding {
            Rounding::TowardZero if of(nearest) > x.abs() => nearest - 1,
            // Patterns follow magnitudes; of a tie the even one may be the lower.
            Rounding::HalfAway if of(nearest + 1) - x.abs() == x.abs() - of(nearest) => nearest + 1,
            _ => nearest,
        };
        of(pattern).copysign(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: Storing = Storing::SATURATING;

    /// By hand: e4m3fn has 16, 18, 20, ... above 16, and 448 last.
    #[test]
    fn codes_by_hand() {
        let code = |storing: Storing, dtype, x| storing.code(dtype, x);
        let away = Storing { rounding: Rounding::HalfAway, ..RIGHT };
        let cut = Storing { rounding: Rounding::TowardZero, ..RIGHT };
        let special = Storing { beyond: Beyond::Special, ..RIGHT };
        let (e4m3, int8) = (Codes::Fp8E4m3, Codes::Int8);
        for (x, even, half_away, toward_zero) in
            [(17.0, 16.0, 18.0, 16.0), (-19.0, -20.0, -20.0, -18.0), (500.0, 448.0, 448.0, 448.0)]
        {
            assert_eq!(code(RIGHT, e4m3, x), even);
            assert_eq!(code(away, e4m3, x), half_away);
            assert_eq!(code(cut, e4m3, x), toward_zero);
        }
        assert!(code(special, e4m3, 500.0).is_nan());
        assert_eq!(code(special, Codes::Fp8E5m2, -1e6), f64::NEG_INFINITY);
        let of_int8 = [RIGHT, away, cut, special].map(|storing| code(storing, int8, 130.5));
        assert_eq!(of_int8, [127.0, 127.0, 127.0, -126.0]);
        assert_eq!([RIGHT, away, cut].map(|s| code(s, int8, -2.5)), [-2.0, -3.0, -2.0]);
        assert_eq!([RIGHT, away, cut].map(|s| code(s, int8, 2.5)), [2.0, 3.0, 2.0]);
        let symmetric = Storing { beyond: Beyond::Symmetric, ..RIGHT };
        assert_eq!(code(symmetric, int8, -300.0), -127.0);
        assert_eq!([e4m3.tie(17.2), int8.tie(-3.2)], [19.0, -3.5]);
    }
}
