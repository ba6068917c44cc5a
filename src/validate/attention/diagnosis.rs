//! Which known bug an output comes from.

use super::{Case, Inputs, MUTANTS, Schedule};
use crate::par;
use crate::quality::Signal;

/// Sizes of tiles that are tried where a bug depends on them.
const TILES: [usize; 4] = [16, 32, 64, 128];

/// A bug, or several that give the same output on the case.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// Names of the mutants.
    pub names: Vec<&'static str>,
    /// What is wrong, of the first.
    pub says: &'static str,
    /// Size of the tiles, where it matters.
    pub tile: Option<usize>,
    /// NMSE of the output beside the mutant's.
    pub residual: f64,
    output: Vec<f64>,
}

/// Bugs by how well they explain an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// The best first.
    pub suspects: Vec<Suspect>,
    /// Mutants that no output of this case shows: they differ from the truth by less than four times the
    /// tolerance.
    pub not_observable: Vec<&'static str>,
    /// NMSE of the output beside the truth.
    pub against_truth: f64,
}

impl Diagnosis {
    /// The best suspect, where it explains at least nine tenths of the error (A107).
    pub fn cause(&self) -> Option<&Suspect> {
        let explains = |s: &&Suspect| s.residual <= 0.1 * self.against_truth;
        self.suspects.first().filter(explains)
    }
}

fn nmse(reference: &[f64], values: &[f64]) -> f64 {
    let mut signal = Signal::default();
    signal.add(reference, values);
    let nmse = signal.nmse();
    if nmse.is_nan() { f64::INFINITY } else { nmse }
}

/// Runs the reference with every known bug; `tolerance` is that of each element.
pub fn diagnose(
    case: &Case,
    inputs: &Inputs,
    got: &[f64],
    (truth, tolerance): (&[f64], &[f64]),
) -> Diagnosis {
    let variants: Vec<_> = MUTANTS
        .iter()
        .flat_map(|mutant| {
            let tiles: &[usize] = if mutant.tiled { &TILES } else { &TILES[1..2] };
            tiles.iter().map(move |&tile| (mutant, tile))
        })
        .collect();
    let outputs = par::map(&variants, |&(mutant, tile)| {
        let mut schedule = Schedule { tile, ..Schedule::PLAIN };
        (mutant.plant)(&mut schedule);
        schedule.run::<f64>(case, inputs)
    });
    let (mut found, mut hidden): (Vec<Suspect>, Vec<&'static str>) = (vec![], vec![]);
    for ((mutant, tile), output) in variants.into_iter().zip(outputs) {
        let near = |((&a, &e), &t): ((&f64, &f64), &f64)| (a - e).abs() <= 4.0 * t;
        if output.iter().zip(truth).zip(tolerance).all(near) {
            hidden.push(mutant.name);
            continue;
        }
        let same = |s: &&mut Suspect| {
            let pairs = s.output.iter().zip(&output).zip(tolerance);
            pairs.into_iter().all(|((&a, &b), &t)| (a - b).abs() <= 1e-6 * t)
        };
        if let Some(equal) = found.iter_mut().find(same) {
            if !equal.names.contains(&mutant.name) {
                equal.names.push(mutant.name);
            }
            continue;
        }
        let residual = nmse(&output, got);
        let tile = mutant.tiled.then_some(tile);
        let (names, says) = (vec![mutant.name], mutant.says);
        found.push(Suspect { names, says, tile, residual, output });
    }
    found.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    // A bug counts as hidden where no size of tiles shows it.
    hidden.dedup();
    hidden.retain(|name| !found.iter().any(|s| s.names.contains(name)));
    Diagnosis { suspects: found, not_observable: hidden, against_truth: nmse(truth, got) }
}
