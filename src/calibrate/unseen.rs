//! Scores of rows that a fit has not seen.

use super::fit::{FitError, Outcome, groups};
use super::predict::Predictor;
use super::score::{Score, Scored, score};
use super::split::{Half, half_of};
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

/// The score of each kind and format on one half of the shapes, fitted to the other: over all rows of so many
/// `cuts` in halves, the mean number of them in each.
pub fn unseen(
    predictor: &Predictor<'_>,
    rows: &[Row],
    outcomes: &Outcomes,
    cuts: u64,
    tick: &(dyn Fn() + Sync),
) -> Vec<Score> {
    let all = fitted(outcomes);
    let all_cuts: Vec<u64> = (0..cuts).collect();
    let of_all = |kernels| Calibration::of(predictor.hardware, predictor.stack, kernels);
    let tuning = predictor.tuning.clone().with(predictor.chip.clone(), of_all(all.clone()));
    let with = Predictor { tuning: &tuning, ..predictor.clone() };
    let mut scores = vec![];
    for group in groups(rows) {
        let Some(known) = all.get_key_value(&(group.kind, group.format.clone())) else { continue };
        let of_cut = |cut: &u64| {
            let (first, second): (Vec<&Row>, Vec<&Row>) =
                group.rows.iter().partition(|row| half_of(*cut, &row.key) == Half::First);
            if first.is_empty() {
                return vec![];
            }
            let kernels = all.iter().map(|(key, fit)| {
                let of_half = || with.fitted(group.kind, &first);
                (key.clone(), if key == known.0 { of_half() } else { fit.clone() })
            });
            let own = of_all(kernels.collect());
            let tuning = Tuning::default().with(predictor.chip.clone(), own);
            let of_half = Predictor { tuning: &tuning, ..predictor.clone() };
            let op = group.kind.name();
            let scored = second.iter().filter_map(|row| of_half.scored(op, row)).collect();
            tick();
            scored
        };
        let scored: Vec<Scored> = crate::par::map(&all_cuts, of_cut).concat();
        let named = (group.kind.name(), predictor.hardware, group.format.as_str());
        let score = score(named, &scored).map(|s| Score { n: s.n / cuts.max(1) as usize, ..s });
        scores.extend(score);
    }
    scores
}
