//! Fitting parameters to rows: robust, bounded, and only what the rows tell.

use super::optimum::minimum;
use super::predict::{self, Predictor};
use super::score::quantile;
use super::split::{Half, half};
use super::table::Row;
use crate::mapped::calibration::{Calibration, Fitted, Interval, Kernels};
use crate::mapped::{Chip, Kind, Parameter};
use std::collections::BTreeMap;

/// Errors of logarithms beyond this count in proportion, below it as squares.
const ROBUST: f64 = 0.1;
/// Steps of a fit from each of its starts.
const STEPS: u64 = 150;
/// Rows that a fit goes through at most; evenly spread where there are more.
const MOST: usize = 800;
/// Rows for each parameter, at least.
const ROWS_PER_PARAMETER: usize = 2;
/// The relative standard error above which a parameter is not identified.
const IDENTIFIED: f64 = 0.5;
/// By how much the cost of a fit may rise when a parameter is held that the rows do not tell.
const TELLS: f64 = 0.01;
/// How strongly a parameter is held where a fit begins: a row's worth of robust error for a factor of e.
const HELD: f64 = 2e-4;

/// Rows of one kind and format on one device.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// The kind of kernel.
    pub kind: Kind,
    /// The format within it.
    pub format: String,
    /// Its rows.
    pub rows: Vec<&'a Row>,
}

/// Why a group was not fitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// Too few rows.
    #[error("{rows} rows are too few for {parameters} parameters; at least {least} are needed")]
    TooFew {
        /// Rows there are.
        rows: usize,
        /// Parameters.
        parameters: usize,
        /// Rows needed.
        least: usize,
    },
    /// The device has no engine or link for it.
    #[error("the device's profile has no figure for it")]
    NoFigure,
}

/// A fit with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Fitted to all rows, with the interval of rows left out.
    pub fitted: Fitted,
    /// Fitted to the first half only.
    pub first: Fitted,
    /// Parameters that the rows do not tell.
    pub held: Vec<&'static str>,
}

/// A row as fits see it: how it maps, what its time holds beside its kernel, and the time.
struct Sample<'a> {
    chip: &'a Chip,
    row: &'a Row,
    beside: f64,
    measured: f64,
    weight: f64,
}

impl Sample<'_> {
    /// Logarithm of predicted over measured.
    fn residual(&self, p: &[f64]) -> f64 {
        let predicted = predict::map(self.chip, self.row, p).map_or(f64::NAN, |m| m.seconds);
        ((predicted + self.beside) / self.measured).ln()
    }
}

/// Groups rows by kind and format; elementwise kernels first, as others' rows hold some.
pub fn groups<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<(Kind, String), Vec<&Row>> = BTreeMap::new();
    for row in rows.into_iter().filter(|r| r.case.unjudged().is_none()) {
        groups.entry((row.case.kind(), row.case.format())).or_default().push(row);
    }
    let mut groups: Vec<Group<'_>> =
        groups.into_iter().map(|((kind, format), rows)| Group { kind, format, rows }).collect();
    groups.sort_by_key(|g| g.kind != Kind::Stream);
    groups
}

/// Fits every group of a device under a stack; `tick` is called when one is done.
pub fn fit_all(
    predictor: &Predictor<'_>,
    rows: &[Row],
    tick: &dyn Fn(&Group<'_>),
) -> Vec<(Kind, String, Result<Outcome, FitError>)> {
    let mut tuning = predictor.tuning.clone();
    let mut kernels = Kernels::new();
    let mut outcomes = vec![];
    for group in groups(rows) {
        let with = Predictor { tuning: &tuning, ..predictor.clone() };
        let outcome = fit(&with, &group);
        if let (Ok(outcome), Kind::Stream) = (&outcome, group.kind) {
            kernels.insert((group.kind, group.format.clone()), outcome.fitted.clone());
            let own = Calibration::of(predictor.hardware, predictor.stack, kernels.clone());
            tuning = predictor.tuning.clone().with(predictor.chip.clone(), own);
        }
        tick(&group);
        outcomes.push((group.kind, group.format.clone(), outcome));
    }
    outcomes
}

/// Fits one group: to all rows; and to each half, whose residuals on the other make the interval.
///
/// # Errors
/// Fewer than two rows a parameter, or no figure in the device's profile.
pub fn fit(predictor: &Predictor<'_>, group: &Group<'_>) -> Result<Outcome, FitError> {
    let parameters = group.kind.parameters();
    let least = ROWS_PER_PARAMETER * parameters.len();
    if group.rows.len() < least {
        let rows = group.rows.len();
        return Err(FitError::TooFew { rows, parameters: parameters.len(), least });
    }
    let samples: Vec<Sample<'_>> = group
        .rows
        .iter()
        .map(|row| Sample {
            chip: predictor.chip,
            row,
            beside: predictor.beside(row),
            measured: row.time.get(),
            weight: 1.0,
        })
        .collect();
    if samples.iter().any(|s| !s.residual(&starts(parameters)).is_finite()) {
        return Err(FitError::NoFigure);
    }
    let all: Vec<&Sample<'_>> = samples.iter().collect();
    let (first, second): (Vec<&Sample<'_>>, Vec<&Sample<'_>>) =
        all.iter().partition(|s| half(&s.row.key) == Half::First);
    let (one, other): (Vec<&Sample<'_>>, Vec<&Sample<'_>>) =
        first.iter().partition(|s| half(&format!("quarter {}", s.row.key)) == Half::First);
    let whole = solve(parameters, &all);
    let halves = [solve(parameters, &first), solve(parameters, &second)];
    let quarters = [solve(parameters, &one), solve(parameters, &other)];
    let held = parameters.iter().zip(&whole.errors).filter(|(_, e)| e.is_none());
    let held = held.map(|(p, _)| p.name).collect();
    let of_all = crossed(&halves, [&first, &second]);
    let of_first = crossed(&quarters, [&one, &other]);
    let [half, _] = halves;
    Ok(Outcome {
        first: half.fitted(first.len(), of_first),
        fitted: whole.fitted(all.len(), of_all),
        held,
    })
}

/// The interval of the residuals that two parts' fits leave on each other's rows.
fn crossed(fits: &[Solution; 2], parts: [&[&Sample<'_>]; 2]) -> Interval {
    let residuals = |fit: &Solution, rows: &[&Sample<'_>]| -> Vec<f64> {
        rows.iter().map(|s| -s.residual(&fit.values)).filter(|r| r.is_finite()).collect()
    };
    let mut all = residuals(&fits[0], parts[1]);
    all.extend(residuals(&fits[1], parts[0]));
    if all.is_empty() {
        return Interval::NONE;
    }
    Interval { low: quantile(all.clone(), 0.1).exp(), high: quantile(all, 0.9).exp() }
}

/// Fits one set of parameters to the groups of several devices, each device counting alike.
pub fn fit_shared(kind: Kind, groups: &[(Predictor<'_>, Group<'_>)]) -> Option<Vec<f64>> {
    let parameters = kind.parameters();
    let mut samples = vec![];
    for (predictor, group) in groups {
        let weight = 1.0 / group.rows.len() as f64;
        let every = (group.rows.len() / 250).max(1);
        samples.extend(group.rows.iter().step_by(every).map(|row| Sample {
            chip: predictor.chip,
            row,
            beside: predictor.beside(row),
            measured: row.time.get(),
            weight: weight * every as f64,
        }));
    }
    let samples: Vec<&Sample<'_>> = samples.iter().collect();
    (!samples.is_empty()).then(|| solve(parameters, &samples).values)
}

struct Solution {
    values: Vec<f64>,
    errors: Vec<Option<f64>>,
}

impl Solution {
    fn fitted(self, rows: usize, interval: Interval) -> Fitted {
        Fitted { values: self.values, errors: self.errors, rows: rows as u64, interval }
    }
}

fn starts(parameters: &[Parameter]) -> Vec<f64> {
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
fn solve(parameters: &[Parameter], samples: &[&Sample<'_>]) -> Solution {
    let every = (samples.len() / MOST).max(1);
    let samples: Vec<&Sample<'_>> = samples.iter().step_by(every).copied().collect();
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
fn descend(parameters: &[Parameter], samples: &[&Sample<'_>], free: &[bool]) -> (f64, Vec<f64>) {
    let unpack = |x: &[f64]| -> Vec<f64> {
        let mut next = x.iter();
        let coordinate = |(p, free): (&Parameter, &bool)| {
            if *free { value(p, *next.next().unwrap_or(&0.0)) } else { p.start }
        };
        parameters.iter().zip(free).map(coordinate).collect()
    };
    let total: f64 = samples.iter().map(|s| s.weight).sum();
    let cost = |x: &[f64]| -> f64 {
        let p = unpack(x);
        let rows: f64 = samples.iter().map(|s| s.weight * robust(s.residual(&p))).sum();
        let held: f64 = p.iter().zip(parameters).map(|(v, p)| (v / p.start).ln().powi(2)).sum();
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
fn errors(samples: &[&Sample<'_>], values: &[f64], free: &[bool]) -> Vec<Option<f64>> {
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
            let slope = |s: &&Sample<'_>| (s.residual(&up) - s.residual(&down)) / (2.0 * STEP);
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
