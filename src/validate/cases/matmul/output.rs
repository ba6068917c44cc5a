//! Outputs of 8 bits: sums over a scale as codes.

use super::super::codes::{Beyond, Storing};
use super::MatMulCase;
use crate::validate::{Inputs, Precision};

/// What is done with the output's scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scaling {
    Divided,
    Missing,
    Multiplied,
}

/// How sums become the output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    pub(super) scaling: Scaling,
    pub(super) storing: Storing,
}

impl MatMulCase {
    /// How the case's kernels write.
    pub(super) const fn writing(&self) -> Writing {
        let beyond = if self.non_saturating { Beyond::Special } else { Beyond::Saturates };
        let storing = Storing { beyond, ..Storing::SATURATING };
        Writing { scaling: Scaling::Divided, storing }
    }

    /// Sums as the output has them.
    pub(super) fn written(
        &self,
        inputs: &Inputs,
        sums: Vec<f64>,
        (precision, writing): (Precision, Writing),
    ) -> Vec<f64> {
        let narrow = precision == Precision::Kernel;
        let Some(dtype) = self.out_dtype else {
            let stored = self.dtype.stored();
            return match narrow {
                true => sums.into_iter().map(|x| stored.round(x)).collect(),
                false => sums,
            };
        };
        let scale = inputs.of("out_scale")[0];
        let of = |sum: f64| match writing.scaling {
            Scaling::Divided => sum / scale,
            Scaling::Missing => sum,
            Scaling::Multiplied => sum * scale,
        };
        let quotient = |sum: f64| if narrow { f64::from(of(sum) as f32) } else { of(sum) };
        sums.into_iter().map(|sum| writing.storing.code(dtype, quotient(sum))).collect()
    }

    /// How far a right kernel's codes may lie from the truth's: the codes of all quotients that its sums, and
    /// its way to divide, may give (A131). NaN, which is not judged, where rounding decides whether one overflows.
    pub(super) fn codes_apart(&self, inputs: &Inputs, sums: &[f64], error: &[f64]) -> Vec<f64> {
        let Some(dtype) = self.out_dtype else { return vec![0.0; sums.len()] };
        let (scale, storing) = (inputs.of("out_scale")[0], self.writing().storing);
        // A power of two divides exactly, as a factor too.
        let exact = scale.to_bits().trailing_zeros() >= 52;
        let slack = if exact { 0.0 } else { 2f64.powi(-22) };
        let apart = |(&sum, &error): (&f64, &f64)| {
            let quotient = sum / scale;
            let off = error / scale + quotient.abs() * slack;
            let code = |x: f64| storing.code(dtype, x);
            let right = code(quotient);
            let distance = |x: f64| {
                let other = code(x);
                if other == right || other.is_nan() && right.is_nan() {
                    0.0
                } else {
                    Some((other - right).abs()).filter(|d| d.is_finite()).unwrap_or(f64::NAN)
                }
            };
            let (low, high) = (distance(quotient - off), distance(quotient + off));
            if low.is_nan() || high.is_nan() { f64::NAN } else { low.max(high) }
        };
        sums.iter().zip(error).map(apart).collect()
    }
}

/// Whether a sum of products is the same in f32 in every order: products are whole multiples of a power of two of
/// which there are fewer than 2^24 in all.
pub(super) fn is_exact(a: &[f64], b: &[f64]) -> bool {
    let products = || a.iter().zip(b).map(|(a, b)| a * b).filter(|p| *p != 0.0);
    let unit = products().map(lowest).min();
    let Some(unit) = unit else { return true };
    products().map(f64::abs).sum::<f64>() < 2f64.powi(unit + 24)
}

/// Exponent of the lowest bit that is set.
fn lowest(x: f64) -> i32 {
    let (field, fraction) = ((x.to_bits() >> 52 & 0x7ff) as i32, x.to_bits() & ((1 << 52) - 1));
    field.max(1) - 1075 + fraction.trailing_zeros().min(52) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_few_bits_are_exact() {
        assert!(is_exact(&[3.0, 0.0], &[0.375, 0.1]));
        assert!(is_exact(&[1.0, 4096.0], &[1.0, 1024.0]));
        assert!(!is_exact(&[1.0, 8192.0], &[1.0, 2048.0]));
        assert!(!is_exact(&[1.0], &[0.1]));
        assert_eq!([lowest(1.0), lowest(-0.75), lowest(96.0)], [0, -2, 5]);
    }
}
