//! Fitting parameters to rows: robust, bounded, and only what the rows tell.

use super::predict::{self, Predictor};
use super::solve::{Sample, crossed, solve, starts};
use super::split::{Half, half};
use super::table::Row;
use crate::mapped::calibration::{Calibration, Fitted, Kernels};
use crate::mapped::{Chip, Kind};
use std::collections::BTreeMap;

/// Rows for each parameter, at least.
const ROWS_PER_PARAMETER: usize = 2;

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
struct Kernel<'a> {
    chip: &'a Chip,
    row: &'a Row,
    beside: f64,
    measured: f64,
    weight: f64,
}

impl Sample for Kernel<'_> {
    fn residual(&self, p: &[f64]) -> f64 {
        let predicted = predict::map(self.chip, self.row, p).map_or(f64::NAN, |m| m.seconds);
        ((predicted + self.beside) / self.measured).ln()
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn key(&self) -> &str {
        &self.row.key
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
    let samples: Vec<Kernel<'_>> = group
        .rows
        .iter()
        .map(|row| Kernel {
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
    let all: Vec<&Kernel<'_>> = samples.iter().collect();
    let (first, second): (Vec<&Kernel<'_>>, Vec<&Kernel<'_>>) =
        all.iter().partition(|s| half(&s.row.key) == Half::First);
    let (one, other): (Vec<&Kernel<'_>>, Vec<&Kernel<'_>>) =
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

/// Fits one set of parameters to the groups of several devices, each device counting alike.
pub fn fit_shared(kind: Kind, groups: &[(Predictor<'_>, Group<'_>)]) -> Option<Vec<f64>> {
    let parameters = kind.parameters();
    let mut samples = vec![];
    for (predictor, group) in groups {
        let weight = 1.0 / group.rows.len() as f64;
        let every = (group.rows.len() / 250).max(1);
        samples.extend(group.rows.iter().step_by(every).map(|row| Kernel {
            chip: predictor.chip,
            row,
            beside: predictor.beside(row),
            measured: row.time.get(),
            weight: weight * every as f64,
        }));
    }
    let samples: Vec<&Kernel<'_>> = samples.iter().collect();
    (!samples.is_empty()).then(|| solve(parameters, &samples).values)
}
