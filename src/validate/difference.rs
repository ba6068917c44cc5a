//! How far values lie from a reference.

use super::layout::Stored;
use crate::quality::Signal;

/// What is no ordinary number in a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// NaNs.
    pub nan: usize,
    /// Infinities of both signs.
    pub infinite: usize,
    /// Zeros of both signs.
    pub zero: usize,
}

impl Counts {
    /// Of some values.
    pub fn of(values: &[f64]) -> Self {
        let count = |is: fn(&f64) -> bool| values.iter().filter(|v| is(v)).count();
        Self {
            nan: count(|v| v.is_nan()),
            infinite: count(|v| v.is_infinite()),
            zero: count(|v| *v == 0.0),
        }
    }
}

/// The largest of something, and the element that has it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Extreme {
    /// The largest value; NaN where an element has it.
    pub value: f64,
    /// Number of the element, row-major.
    pub index: usize,
}

impl Extreme {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let take = |best: Self, (index, value): (usize, f64)| {
            let larger = value > best.value || (value.is_nan() && !best.value.is_nan());
            if larger { Self { value, index } } else { best }
        };
        values.enumerate().fold(Self::default(), take)
    }
}

/// Upper ends of the histogram of distances in units in the last place; the last bin is open.
pub const ULP_BINS: [f64; 6] = [0.5, 1.0, 2.0, 4.0, 16.0, 256.0];

/// Values beside a reference, in every unit that people think in.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Largest `|a - e|`.
    pub absolute: Extreme,
    /// Largest `|a - e| / |e|`, over elements with `e != 0`.
    pub relative: Extreme,
    /// Elements by distance in units in the last place of the reference: up to each of `ULP_BINS`, and
    /// above the last (NaN too).
    pub ulps: [usize; ULP_BINS.len() + 1],
    /// `sum (a - e)^2 / sum e^2`.
    pub nmse: f64,
    /// The same in decibels.
    pub sqnr: f64,
    /// `sum a e / sqrt(sum a^2 sum e^2)`.
    pub cosine: f64,
    /// `sum a e / sum e^2`: 1 where only noise differs.
    pub gain: f64,
    /// Of the output.
    pub got: Counts,
    /// Of the reference.
    pub expected: Counts,
}

impl Difference {
    /// Between values and their reference, in units of `stored`.
    ///
    /// # Panics
    /// Other than as many values as references.
    pub fn of(got: &[f64], expected: &[f64], stored: Stored) -> Self {
        assert_eq!(got.len(), expected.len(), "an output as large as its reference");
        let pairs = || got.iter().copied().zip(expected.iter().copied());
        let dot = |f: fn(f64, f64) -> f64| pairs().map(|(a, e)| f(a, e)).sum::<f64>();
        let (ae, aa, ee) = (dot(|a, e| a * e), dot(|a, _| a * a), dot(|_, e| e * e));
        let mut ulps = [0; ULP_BINS.len() + 1];
        for (a, e) in pairs() {
            let distance = gap(a, e) / stored.ulp(e);
            ulps[ULP_BINS.iter().position(|&end| distance <= end).unwrap_or(ULP_BINS.len())] += 1;
        }
        let mut signal = Signal::default();
        signal.add(expected, got);
        let relative = |(a, e): (f64, f64)| if e == 0.0 { 0.0 } else { gap(a, e) / e.abs() };
        Self {
            absolute: Extreme::of(pairs().map(|(a, e)| gap(a, e))),
            relative: Extreme::of(pairs().map(relative)),
            ulps,
            nmse: signal.nmse(),
            sqnr: signal.sqnr(),
            cosine: ae / (aa * ee).sqrt(),
            gain: ae / ee,
            got: Counts::of(got),
            expected: Counts::of(expected),
        }
    }
}

/// `|a - e|`, 0 for equal infinities and for NaN where NaN belongs.
pub(super) fn gap(a: f64, e: f64) -> f64 {
    if a == e || (a.is_nan() && e.is_nan()) { 0.0 } else { (a - e).abs() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Float;

    #[test]
    fn differences_by_hand() {
        let d = Difference::of(
            &[1.0, 2.5, 0.0, -4.0],
            &[1.0, 2.0, 0.0, -4.0],
            Stored::Float(Float::BF16),
        );
        assert_eq!((d.absolute.value, d.absolute.index), (0.5, 1));
        assert_eq!((d.relative.value, d.relative.index), (0.25, 1));
        // bf16 has 7 bits behind the point: one unit at 2 is 2^-6, so 0.5 is 32 of them.
        assert_eq!(d.ulps, [3, 0, 0, 0, 0, 1, 0]);
        assert_eq!((d.nmse, d.gain), (0.25 / 21.0, 22.0 / 21.0));
        assert_eq!((d.got.zero, d.expected.zero), (1, 1));
    }

    #[test]
    fn what_is_no_number_is_counted_and_never_near() {
        let d = Difference::of(
            &[f64::NAN, f64::INFINITY],
            &[1.0, f64::INFINITY],
            Stored::Float(Float::FP32),
        );
        assert_eq!((d.got.nan, d.got.infinite, d.expected.infinite), (1, 1, 1));
        assert!(d.absolute.value.is_nan() && d.absolute.index == 0);
        assert_eq!((d.ulps[0], d.ulps[6]), (1, 1));
    }
}
