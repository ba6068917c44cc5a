//! Signal to noise of values beside reference values.

use crate::op::scalar::Scalar;

/// Power of a reference and of the difference to it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Signal {
    power: f64,
    noise: f64,
    elements: u64,
}

impl Signal {
    /// Adds values and their reference, element by element.
    pub fn add<S: Scalar, T: Scalar>(&mut self, reference: &[S], other: &[T]) {
        for (a, b) in reference.iter().zip(other) {
            let (a, d) = (a.value(), b.value() - a.value());
            self.power += a * a;
            self.noise += d * d;
            self.elements += 1;
        }
    }

    /// Elements compared.
    pub const fn elements(&self) -> u64 {
        self.elements
    }

    /// `sum (b - a)^2 / sum a^2`: 0 where nothing differs.
    pub fn nmse(&self) -> f64 {
        if self.noise == 0.0 { 0.0 } else { self.noise / self.power }
    }

    /// `-10 log10` of it: the signal-to-quantization-noise ratio in decibels; infinite where nothing differs.
    pub fn sqnr(&self) -> f64 {
        -10.0 * self.nmse().log10()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels_by_hand() {
        let mut signal = Signal::default();
        signal.add(&[3.0, 4.0], &[3.0_f32, 4.0]);
        assert_eq!((signal.sqnr(), signal.nmse()), (f64::INFINITY, 0.0));
        signal.add(&[0.0, 5.0], &[0.5, 5.5]);
        assert_eq!((signal.elements(), signal.nmse()), (4, 0.01));
        assert!((signal.sqnr() - 20.0).abs() < 1e-12);
        signal.add(&[f64::NAN], &[1.0]);
        assert!(signal.sqnr().is_nan());
    }
}
