//! Scores of rows that a fit has not seen.

use super::fit::{FitError, Outcome};
use super::predict::Predictor;
use super::score::{Score, Scored, score};
use super::split::{Half, half};
use super::table::Row;
use crate::mapped::Kind;
use crate::mapped::calibration::{Calibration, Kernels, Tuning};

type Outcomes = [(Kind, String, Result<Outcome, FitError>)];

/// The parameters of all rows of what could be fitted.
pub fn fitted(outcomes: &Outcomes) -> Kernels {
    let fitted = outcomes.iter().filter_map(|(kind, format, outcome)| {
        Some(((*kind, format.clone()), outcome.as_ref().ok()?.fitted.clone()))
    });
    fitted.collect()
}

/// The score of each kind and format on the second half of the shapes, fitted to the first.
pub fn unseen(predictor: &Predictor<'_>, rows: &[Row], outcomes: &Outcomes) -> Vec<Score> {
    let all = fitted(outcomes);
    let mut scores = vec![];
    for (kind, format, outcome) in outcomes {
        let Ok(outcome) = outcome else { continue };
        let mut kernels = all.clone();
        kernels.insert((*kind, format.clone()), outcome.first.clone());
        let own = Calibration::of(predictor.hardware, predictor.stack, kernels);
        let tuning = Tuning::default().with(predictor.chip.clone(), own);
        let of_half = Predictor { tuning: &tuning, ..predictor.clone() };
        let of_group = |r: &&Row| {
            r.case.kind() == *kind && r.case.format() == *format && r.case.unjudged().is_none()
        };
        let second = rows.iter().filter(of_group).filter(|r| half(&r.key) == Half::Second);
        let scored: Vec<Scored> =
            second.filter_map(|row| of_half.scored(kind.name(), row)).collect();
        scores.extend(score((kind.name(), predictor.hardware, format), &scored));
    }
    scores
}
