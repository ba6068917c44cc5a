//! What a device would be predicted to do if it had never been measured.

use super::fit::{Group, fit_shared, groups};
use super::predict::Predictor;
use super::score::{Score, Scored, quantile, score};
use super::table::Row;
use crate::mapped::Kind;
use crate::mapped::calibration::{Fitted, Interval, Kernels};
use std::collections::BTreeSet;

/// One device left out.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// The kind of kernel.
    pub kind: Kind,
    /// Its format.
    pub format: String,
    /// Its score with parameters that the other devices share.
    pub score: Score,
    /// Measured over predicted.
    pub ratios: Vec<f64>,
}

/// Leaves out each device in turn, for every kind and format that two devices or more have rows of; with it the
/// parameters that all devices share, and the intervals that hold 80 % of the rows of a device left out.
///
/// `tick` is called when a device is done in one kind and format, and once each for what is shared.
pub fn leave_one_out(
    devices: &[(Predictor<'_>, &[Row], String)],
    tick: &(dyn Fn() + Sync),
) -> (Vec<LeftOut>, Kernels) {
    let all = all_groups(devices);
    let jobs: Vec<usize> = (0..all.len()).collect();
    let found = crate::par::map(&jobs, |&job| {
        tick();
        let (device, group) = &all[job];
        let alike = |g: &Group<'_>| g.kind == group.kind && g.format == group.format;
        let others: Vec<(Predictor<'_>, Group<'_>)> = all
            .iter()
            .filter(|(i, g)| alike(g) && devices[*i].0.hardware != devices[*device].0.hardware)
            .map(|(i, g)| (devices[*i].0.clone(), g.clone()))
            .collect();
        let values = fit_shared(group.kind, &others)?;
        let (predictor, _, name) = &devices[*device];
        let shared = Fitted {
            errors: vec![Some(0.0); values.len()],
            values,
            rows: 0,
            interval: Interval::NONE,
        };
        let key = (group.kind, group.format.clone());
        let tuning = predictor.tuning.without(&[predictor.hardware]);
        let tuning = tuning.sharing(Kernels::from([(key, shared)]));
        let unseen = Predictor { tuning: &tuning, ..predictor.clone() };
        let scored: Vec<Scored> =
            group.rows.iter().filter_map(|row| unseen.scored(group.kind.name(), row)).collect();
        let score = score((group.kind.name(), name, &group.format), &scored)?;
        let ratios = scored.iter().map(|s| s.measured / s.predicted).collect();
        Some(LeftOut { kind: group.kind, format: group.format.clone(), score, ratios })
    });
    let found = covered(found.into_iter().flatten().collect());
    let kinds: BTreeSet<(Kind, &str)> = found.iter().map(|l| (l.kind, l.format.as_str())).collect();
    let kinds: Vec<(Kind, &str)> = kinds.into_iter().collect();
    let shared = crate::par::map(&kinds, |&(kind, format)| {
        let alike: Vec<(Predictor<'_>, Group<'_>)> = all
            .iter()
            .filter(|(_, g)| g.kind == kind && g.format == format)
            .map(|(i, g)| (devices[*i].0.clone(), g.clone()))
            .collect();
        let values = fit_shared(kind, &alike)?;
        let rows = alike.iter().map(|(_, g)| g.rows.len() as u64).sum();
        let left: Vec<&LeftOut> =
            found.iter().filter(|l| l.kind == kind && l.format == format).collect();
        let fitted =
            Fitted { errors: vec![Some(0.0); values.len()], values, rows, interval: spread(&left) };
        Some(((kind, format.to_owned()), fitted))
    });
    (found.clone(), shared.into_iter().flatten().collect())
}

/// The groups of all devices, each with its device's place.
fn all_groups<'a>(devices: &[(Predictor<'_>, &'a [Row], String)]) -> Vec<(usize, Group<'a>)> {
    let of = |(i, (_, rows, _)): (usize, &(Predictor<'_>, &'a [Row], String))| {
        groups(rows.iter()).into_iter().map(move |g| (i, g)).collect::<Vec<_>>()
    };
    devices.iter().enumerate().flat_map(of).collect()
}

/// How many times [`leave_one_out`] ticks.
pub fn ticks(devices: &[(Predictor<'_>, &[Row], String)]) -> u64 {
    all_groups(devices).len() as u64
}

/// The same with the share of each device's rows inside the interval of the other devices left out.
fn covered(found: Vec<LeftOut>) -> Vec<LeftOut> {
    let share = |one: &LeftOut| {
        let others: Vec<&LeftOut> = found
            .iter()
            .filter(|l| {
                l.kind == one.kind && l.format == one.format && l.score.device != one.score.device
            })
            .collect();
        let Interval { low, high } = spread(&others);
        let inside = one.ratios.iter().filter(|r| (low..=high).contains(*r)).count();
        100.0 * inside as f64 / one.ratios.len() as f64
    };
    let shares: Vec<f64> = found.iter().map(share).collect();
    let with = |(mut one, share): (LeftOut, f64)| {
        one.score.coverage80 = share;
        one
    };
    found.into_iter().zip(shares).map(with).collect()
}

/// The interval over devices left out, each counting alike.
fn spread(left: &[&LeftOut]) -> Interval {
    let pooled: Vec<f64> = left
        .iter()
        .flat_map(|l| l.ratios.iter().step_by((l.ratios.len() / 400).max(1)).copied())
        .collect();
    if pooled.is_empty() {
        return Interval::NONE;
    }
    Interval { low: quantile(pooled.clone(), 0.1), high: quantile(pooled, 0.9) }
}
