//! AWQ: channels that meet large activations are scaled up before weights are rounded.

use super::calibration::{Calibration, forms};
use super::grid::{Grid, Range};
use super::matrix::{Matrix, Sharing};
use crate::op::scalar::Scalar;
use crate::par;

/// Smallest scale before they are normalised.
const LEAST: f64 = 1e-4;

/// How AWQ searches (Lin et al., arXiv 2306.00978, section 3.2, and the authors' code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awq {
    /// Exponents tried: `i / points` for `i` from 0.
    pub points: u32,
    /// Ranges tried where weights are clipped: the largest less `i / clips` of it, up to half; 0 clips nothing.
    pub clips: u32,
}

impl Default for Awq {
    /// 20 exponents, ranges in steps of a twentieth.
    fn default() -> Self {
        Self { points: 20, clips: 20 }
    }
}

/// Scales `s: [K]` by which the columns of all `weights: [N, K]` that read one activation are multiplied before
/// `round` is applied to them: `s = mean|X_j|^a`, normalised to `s / sqrt(max s min s)`, with the exponent `a`
/// whose rounded weights change the outputs least over the calibration, summed over the weights.
///
/// `round` gives the values that a weight becomes. `merge` is applied to scales before they are tried, where
/// channels have to share one; the identity else. `a = 0` leaves the weights as they are, so the result is never
/// worse than rounding alone on the calibration.
pub fn awq_scales<S: Scalar>(
    weights: &[Matrix<'_, S>],
    calibration: &Calibration,
    options: &Awq,
    merge: &dyn Fn(&mut [f64]),
    round: &dyn Fn(Matrix<'_, f64>) -> Vec<f64>,
) -> Vec<f64> {
    let mean = calibration.mean();
    let weights: Vec<Vec<f64>> = weights.iter().map(|w| w.to_f64()).collect();
    let mut best = (f64::INFINITY, vec![1.0; mean.len()]);
    for i in 0..options.points.max(1) {
        let mut scales = powers(&mean, f64::from(i) / f64::from(options.points.max(1)));
        merge(&mut scales);
        let error: f64 = weights.iter().map(|w| scaled_error(w, &scales, calibration, round)).sum();
        if error < best.0 {
            best = (error, scales);
        }
    }
    best.1
}

fn powers(mean: &[f64], exponent: f64) -> Vec<f64> {
    let scales = mean.iter().map(|x| x.powf(exponent).max(LEAST));
    let mut scales: Vec<f64> = scales.collect();
    let most = scales.iter().copied().fold(LEAST, f64::max);
    let least = scales.iter().copied().fold(most, f64::min);
    let middle = (most * least).sqrt();
    scales.iter_mut().for_each(|s| *s /= middle);
    scales
}

/// The change of outputs by `round(w s) / s`; NaN counts as infinite.
fn scaled_error(
    w: &[f64],
    scales: &[f64],
    calibration: &Calibration,
    round: &dyn Fn(Matrix<'_, f64>) -> Vec<f64>,
) -> f64 {
    let columns = scales.len();
    let scaled: Vec<f64> = w.chunks(columns).flat_map(|row| times(row, scales)).collect();
    let mut rounded = round(Matrix::new(&scaled, columns));
    for (row, w) in rounded.chunks_mut(columns).zip(w.chunks(columns)) {
        for ((q, s), w) in row.iter_mut().zip(scales).zip(w) {
            *q = *q / s - w;
        }
    }
    let error = calibration.output_error(&rounded);
    if error.is_nan() { f64::INFINITY } else { error }
}

fn times<'a>(row: &'a [f64], scales: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    row.iter().zip(scales).map(|(w, s)| w * s)
}

/// The weights with every group clamped to the range, of those tried, that changes the group's share of the
/// outputs least once rounded (the authors' `auto_clip`); the identity for groups that span rows. Where the
/// weights were multiplied by scales, the calibration is that of the divided inputs.
pub fn clip<S: Scalar>(
    w: Matrix<'_, S>,
    calibration: &Calibration,
    (grid, sharing): (&Grid, Sharing),
    options: &Awq,
) -> Vec<S> {
    let mut clipped = w.values().to_vec();
    if options.clips == 0 || sharing.spans_rows() || calibration.columns() != w.columns() {
        return clipped;
    }
    let (all, columns) = (w.to_f64(), w.columns());
    let along = sharing.along(columns);
    let firsts: Vec<usize> = (0..columns).step_by(along).collect();
    let ranges = par::map(&firsts, |&first| {
        let group = first..(first + along).min(columns);
        let rows = all.chunks(columns).map(|row| row[group.clone()].to_vec());
        best_ranges(&rows.collect::<Vec<_>>(), &calibration.block(&group), grid, options.clips)
    });
    for (row, values) in clipped.chunks_mut(columns).enumerate() {
        for (values, ranges) in values.chunks_mut(along).zip(&ranges) {
            for x in values.iter_mut().filter(|x| x.value().is_finite()) {
                *x = S::constant(x.value().clamp(ranges[row].min, ranges[row].max));
            }
        }
    }
    clipped
}

/// Of one group of every row, the range, shrunk to where the error of its rounded values is least.
fn best_ranges(rows: &[Vec<f64>], gram: &[f64], grid: &Grid, clips: u32) -> Vec<Range> {
    let whole: Vec<Range> = rows.iter().map(|row| Range::of(row.iter().copied())).collect();
    let mut best: Vec<(f64, Range)> = whole.iter().map(|range| (f64::INFINITY, *range)).collect();
    for i in 0..=clips / 2 {
        let keep = 1.0 - f64::from(i) / f64::from(clips);
        let shrunk = |range: &Range| Range { min: range.min * keep, max: range.max * keep };
        let errors = rows.iter().zip(&whole).flat_map(|(row, range)| {
            let affine = grid.fit(shrunk(range));
            row.iter().map(move |x| x - grid.value(affine, grid.code(affine, *x)))
        });
        let errors: Vec<f64> = errors.collect();
        let sums = forms(&errors, gram);
        for ((best, range), sum) in best.iter_mut().zip(&whole).zip(sums) {
            if sum < best.0 {
                *best = (sum, shrunk(range));
            }
        }
    }
    best.into_iter().map(|(_, range)| range).collect()
}
