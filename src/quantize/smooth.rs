//! SmoothQuant: how much of the range of activations the weights take over.

use super::matrix::Matrix;
use crate::op::scalar::Scalar;

/// Smallest magnitude that a channel is taken to have.
const LEAST: f64 = 1e-5;

/// `s_j = max|X_j|^alpha / max|W_j|^(1 - alpha)`, by which column `j` of every weight that reads the activation is
/// multiplied, and the activation's channel `j` divided (Xiao et al., arXiv 2211.10438, equation 4; `alpha` is
/// 0.5 for most models there).
///
/// `largest: [K]` has `max|X_j|`, [`super::Calibration::largest`] for instance; weights are `[N, K]`. A channel
/// without a finite scale above zero gets 1.
pub fn smooth<S: Scalar>(weights: &[Matrix<'_, S>], largest: &[f64], alpha: f64) -> Vec<f64> {
    let mut columns = vec![0.0_f64; largest.len()];
    for weight in weights {
        for r in 0..weight.rows() {
            for (column, w) in columns.iter_mut().zip(weight.row(r)) {
                if w.value().is_finite() {
                    *column = column.max(w.value().abs());
                }
            }
        }
    }
    let scale = |(x, w): (&f64, &f64)| {
        let s = x.max(LEAST).powf(alpha) / w.max(LEAST).powf(1.0 - alpha);
        if *x > 0.0 && *w > 0.0 && s.is_finite() && s > 0.0 { s } else { 1.0 }
    };
    largest.iter().zip(&columns).map(scale).collect()
}
