//! Fitting parameters to rows: robust, bounded, and only what the rows tell.

use super::predict::{self, Predictor};
use super::score::median;
use super::solve::{Sample, interval, solve, starts};
use super::table::Row;
use crate::mapped::calibration::{Calibration, Fitted, Kernels};
use crate::mapped::{Chip, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// Shapes for each parameter, at least.
const SHAPES_PER_PARAMETER: usize = 2;
/// How many times too slow or fast half of the rows may come out after a fit: beyond it they are of another device
/// or in another unit.
const PLAUSIBLE: f64 = 3.0;

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
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// Too few rows of different shapes.
    #[error(
        "too few rows: {shapes} different shapes for {parameters} parameters; at least {least} are needed"
    )]
    TooFew {
        /// Shapes there are.
        shapes: usize,
        /// Parameters.
        parameters: usize,
        /// Shapes needed.
        least: usize,
    },
    /// The rows are of another device, or in another unit.
    #[error(
        "half of the {rows} rows lie {factor:.0} times or more off what the device can be fitted to do: are they in \
         microseconds, and of this device?"
    )]
    Implausible {
        /// Rows there are.
        rows: usize,
        /// Median of how many times off they are.
        factor: f64,
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

/// Fits one group.
///
/// # Errors
/// Fewer than two shapes a parameter, rows that the device cannot explain, or no figure in its profile.
pub fn fit(predictor: &Predictor<'_>, group: &Group<'_>) -> Result<Outcome, FitError> {
    let parameters = group.kind.parameters();
    let least = SHAPES_PER_PARAMETER * parameters.len();
    let shapes: BTreeSet<&str> = group.rows.iter().map(|row| row.key.as_str()).collect();
    if shapes.len() < least {
        let shapes = shapes.len();
        return Err(FitError::TooFew { shapes, parameters: parameters.len(), least });
    }
    if !predictor.knows(&group.rows, &starts(parameters)) {
        return Err(FitError::NoFigure);
    }
    let fitted = predictor.fitted(group.kind, &group.rows);
    let factor = predictor.off(&group.rows, &fitted.values);
    if factor > PLAUSIBLE {
        return Err(FitError::Implausible { rows: group.rows.len(), factor });
    }
    let held = parameters.iter().zip(&fitted.errors).filter(|(_, e)| e.is_none());
    let held = held.map(|(p, _)| p.name).collect();
    Ok(Outcome { fitted, held })
}

impl<'a> Predictor<'a> {
    fn samples(&self, rows: &[&'a Row]) -> Vec<Kernel<'a>> {
        let sample = |row: &&'a Row| Kernel {
            chip: self.chip,
            row,
            beside: self.beside(row),
            measured: row.time.get(),
            weight: 1.0,
        };
        rows.iter().map(sample).collect()
    }

    /// Whether rows have a time with given parameters.
    fn knows(&self, rows: &[&'a Row], p: &[f64]) -> bool {
        self.samples(rows).iter().all(|s| s.residual(p).is_finite())
    }

    /// The median of how many times too slow or fast rows come out.
    fn off(&self, rows: &[&'a Row], p: &[f64]) -> f64 {
        median(self.samples(rows).iter().map(|s| s.residual(p).abs()).collect()).exp()
    }

    /// What fits rows best, with the interval of rows left out.
    pub(super) fn fitted(&self, kind: Kind, rows: &[&'a Row]) -> Fitted {
        let samples = self.samples(rows);
        let samples: Vec<&Kernel<'_>> = samples.iter().collect();
        let interval = interval(kind.parameters(), &samples);
        solve(kind.parameters(), &samples).fitted(rows.len(), interval)
    }
}

/// Fits one set of parameters to the groups of several devices, each device counting alike.
pub fn fit_shared(kind: Kind, groups: &[(Predictor<'_>, Group<'_>)]) -> Option<Vec<f64>> {
    let parameters = kind.parameters();
    let mut samples = vec![];
    for (predictor, group) in groups {
        let weight = 1.0 / group.rows.len() as f64;
        let every = (group.rows.len() / 250).max(1);
        let some: Vec<&Row> = group.rows.iter().copied().step_by(every).collect();
        let weight = weight * every as f64;
        samples.extend(predictor.samples(&some).into_iter().map(|k| Kernel { weight, ..k }));
    }
    let samples: Vec<&Kernel<'_>> = samples.iter().collect();
    (!samples.is_empty()).then(|| solve(parameters, &samples).values)
}
