//! The parameters that leave the least residuals: robust, bounded, and only what the samples tell.

use super::optimum::minimum;
use super::score::quantile;
use super::split::fold;
use crate::mapped::Parameter;
use crate::mapped::calibration::{Fitted, Interval};

/// Errors of logarithms beyond this count in proportion, below it as squares.
const ROBUST: f64 = 0.1;
/// Steps of a fit from each of its starts.
const STEPS: u64 = 150;
/// Rows that a fit goes through at most; evenly spread where there are more.
const MOST: usize = 800;
/// The relative standard error above which a parameter is not identified.
const IDENTIFIED: f64 = 0.5;
/// By how much the cost of a fit may rise when a parameter is held that the rows do not tell.
const TELLS: f64 = 0.01;
/// How strongly a parameter is held where a fit begins: a row's worth of robust error for a factor of e.
const HELD: f64 = 2e-4;

/// Parts that samples are split into, each left out once, to see what a fit leaves on those it has not seen.
const FOLDS: u64 = 5;

/// A measurement as fits see it.
pub(super) trait Sample: Sync {
    /// Logarithm of predicted over measured with given parameters.
    fn residual(&self, p: &[f64]) -> f64;
    /// How much it counts.
    fn weight(&self) -> f64;
    /// What tells it from others: equal for repeated measurements.
    fn key(&self) -> &str;
}

pub(super) struct Solution {
    pub(super) values: Vec<f64>,
    pub(super) errors: Vec<Option<f64>>,
}

impl Solution {
    pub(super) fn fitted(self, rows: usize, interval: Interval) -> Fitted {
        Fitted { values: self.values, errors: self.errors, rows: rows as u64, interval }
    }
}

pub(super) fn starts(parameters: &[Parameter]) -> Vec<f64> {
    parameters.iter().map(|p| p.start).collect()
}

/// The value of a parameter from its unbounded coordinate, and back: logarithm within the range, with ends
/// that are approached and not passed.
fn value(p: &Parameter, x: f64) -> f64 {
    let (least, most) = (p.range.0.ln(), p.range.1.ln());
    (least + (most - least) / (1.0 + (-4.0 * x / (most - least)).exp())).exp()
}

fn coordinate(p: &Parameter, value: f64) -> f64 {
    let (least, most) = (p.range.0.ln(), p.range.1.ln());
    let t = ((value.ln() - least) / (most - least)).clamp(1e-9, 1.0 - 1e-9);
    (t / (1.0 - t)).ln() * (most - least) / 4.0
}

/// Fits all parameters. One whose error is large is held where fits begin, and the others are fitted
/// again, if the rows are then as well described: they do not tell it. If they are not, they tell at least
/// on which side it lies, and it stays.
pub(super) fn solve<S: Sample>(parameters: &[Parameter], samples: &[&S]) -> Solution {
    let every = (samples.len() / MOST).max(1);
    let samples: Vec<&S> = samples.iter().step_by(every).copied().collect();
    let mut free = vec![true; parameters.len()];
    let mut told = vec![false; parameters.len()];
    let (mut cost, mut values) = descend(parameters, &samples, &free);
    loop {
        let errors = errors(&samples, &values, &free);
        let size = |i: usize| errors[i].unwrap_or(f64::MAX);
        let doubtful = (0..free.len()).filter(|&i| free[i] && !told[i] && size(i) > IDENTIFIED);
        let Some(worst) = doubtful.max_by(|&a, &b| size(a).total_cmp(&size(b))) else {
            return Solution { values, errors };
        };
        free[worst] = false;
        let held = descend(parameters, &samples, &free);
        if held.0 <= cost * (1.0 + TELLS) {
            (cost, values) = held;
        } else {
            free[worst] = true;
            told[worst] = true;
        }
    }
}

/// The least cost, and the parameters that have it.
fn descend<S: Sample>(parameters: &[Parameter], samples: &[&S], free: &[bool]) -> (f64, Vec<f64>) {
    let unpack = |x: &[f64]| -> Vec<f64> {
        let mut next = x.iter();
        let coordinate = |(p, free): (&Parameter, &bool)| {
            if *free { value(p, *next.next().unwrap_or(&0.0)) } else { p.rest }
        };
        parameters.iter().zip(free).map(coordinate).collect()
    };
    let total: f64 = samples.iter().map(|s| s.weight()).sum();
    let cost = |x: &[f64]| -> f64 {
        let p = unpack(x);
        let rows: f64 = samples.iter().map(|s| s.weight() * robust(s.residual(&p))).sum();
        let near = p.iter().zip(parameters).filter(|(_, p)| p.rest == p.start);
        let held: f64 = near.map(|(v, p)| (v / p.start).ln().powi(2)).sum();
        rows / total + HELD * held
    };
    let at = parameters.iter().zip(free).filter(|(_, f)| **f);
    let at: Vec<f64> = at.map(|(p, _)| coordinate(p, p.start)).collect();
    let best = if at.is_empty() { at } else { minimum(cost, &at, STEPS) };
    (cost(&best), unpack(&best))
}

/// Pseudo-Huber loss of a residual.
fn robust(residual: f64) -> f64 {
    ROBUST * ((1.0 + (residual / ROBUST).powi(2)).sqrt() - 1.0)
}

/// Relative standard errors of the free parameters: residual variance times the inverse of `J^T J`, with
/// `J` the derivatives of the residuals by the parameters' logarithms.
fn errors<S: Sample>(samples: &[&S], values: &[f64], free: &[bool]) -> Vec<Option<f64>> {
    const STEP: f64 = 0.02;
    let places: Vec<usize> = (0..free.len()).filter(|&i| free[i]).collect();
    let shifted = |i: usize, by: f64| {
        let mut p = values.to_vec();
        p[i] *= by.exp();
        p
    };
    let slopes: Vec<Vec<f64>> = places
        .iter()
        .map(|&i| {
            let (up, down) = (shifted(i, STEP), shifted(i, -STEP));
            let slope = |s: &&S| (s.residual(&up) - s.residual(&down)) / (2.0 * STEP);
            samples.iter().map(slope).collect()
        })
        .collect();
    let residuals: Vec<f64> = samples.iter().map(|s| s.residual(values).abs()).collect();
    // The spread that a normal distribution of the same median deviation has.
    let spread = quantile(residuals, 0.5) / 0.6745;
    let product = faer::Mat::from_fn(places.len(), places.len(), |i, j| {
        let dot: f64 = slopes[i].iter().zip(&slopes[j]).map(|(a, b)| a * b).sum();
        dot + if i == j { 1e-12 } else { 0.0 }
    });
    use faer::linalg::solvers::DenseSolveCore;
    let inverse = product.partial_piv_lu().inverse();
    let mut errors = vec![None; free.len()];
    for (place, &i) in places.iter().enumerate() {
        let variance = inverse[(place, place)];
        errors[i] = (variance.is_finite() && variance > 0.0).then(|| spread * variance.sqrt());
    }
    errors
}

/// The interval of the residuals that each fold of the samples leaves on a fit to the other folds: those of
/// samples that a fit has not seen.
pub(super) fn interval<S: Sample>(parameters: &[Parameter], samples: &[&S]) -> Interval {
    let folds: Vec<u64> = (0..FOLDS).collect();
    let left = crate::par::map(&folds, |&this| -> Vec<f64> {
        let (unseen, seen): (Vec<&S>, Vec<&S>) =
            samples.iter().partition(|s| fold(s.key(), FOLDS) == this);
        if unseen.is_empty() || seen.is_empty() {
            return vec![];
        }
        let fit = solve(parameters, &seen);
        unseen.iter().map(|s| -s.residual(&fit.values)).filter(|r| r.is_finite()).collect()
    });
    let all = left.concat();
    if all.is_empty() {
        return Interval::NONE;
    }
    // A fit to rows of another device would leave it all on one side: it holds the prediction. And a thousand
    // times off is as good as anything.
    let (low, high) = (quantile(all.clone(), 0.1).exp(), quantile(all, 0.9).exp());
    Interval { low: low.clamp(1e-3, 1.0), high: high.clamp(1.0, 1e3) }
}
