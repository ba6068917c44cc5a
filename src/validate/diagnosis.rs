//! Which known bug an output comes from.

use super::case::{Mutant, Outputs, Precision};
use super::layout::Inputs;
use super::reference::{Judged, Reference, Tick};
use super::screen::screened;
use crate::par;
use std::collections::BTreeSet;

/// A bug, or several that give the same output on the case.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// Names of the mutants; of the best, also those that the case does not tell from it.
    pub names: Vec<&'static str>,
    /// What is wrong, of the first.
    pub says: &'static str,
    /// Which form of the bug, where it has several.
    pub form: Option<String>,
    /// NMSE of the output beside the mutant's; the largest, of several outputs.
    pub residual: f64,
    /// What the residual is of.
    pub over: Over,
    pub(super) output: Outputs,
}

/// How much of an output was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// All of it.
    Everything,
    /// A part, on which the bug was found to be farther from the output than another over everything (A140).
    Part,
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
    /// The best suspect, where it leaves a tenth of the error, and of the output, at most (A107).
    pub fn cause(&self) -> Option<&Suspect> {
        let explains = |s: &&Suspect| s.residual <= 0.1 * self.against_truth.min(1.0);
        self.suspects.first().filter(explains)
    }
}

/// Of pairs of which not both are NaN; infinite where one is.
pub(super) fn nmse(reference: &[f64], values: &[f64]) -> f64 {
    let pairs = reference.iter().zip(values).filter(|(r, v)| !(r.is_nan() && v.is_nan()));
    let (noise, power) = pairs.fold((0.0, 0.0), |(noise, power), (&r, &v)| {
        let gap = if r == v { 0.0 } else { v - r };
        (noise + gap * gap, power + if r.is_finite() { r * r } else { 0.0 })
    });
    if noise == 0.0 {
        0.0
    } else {
        Some(noise / power).filter(|n| !n.is_nan()).unwrap_or(f64::INFINITY)
    }
}

pub(super) fn residual<'a>(
    references: impl IntoIterator<Item = &'a Vec<f64>>,
    got: &[Vec<f64>],
) -> f64 {
    references.into_iter().zip(got).map(|(r, g)| nmse(r, g)).fold(0.0, f64::max)
}

/// Whether every element of every output lies within so many times its tolerance.
pub(super) fn within(a: &[Vec<f64>], b: &[&[f64]], references: &[Reference], times: f64) -> bool {
    let near = |((&a, &b), &t): ((&f64, &f64), &f64)| {
        a == b || (a.is_nan() && b.is_nan()) || t.is_nan() || (a - b).abs() <= times * t
    };
    let each = a.iter().zip(b).zip(references);
    each.into_iter().all(|((a, b), r)| a.iter().zip(*b).zip(&r.tolerance).all(near))
}

/// Whether an output differs from the truth by more than four times its tolerance somewhere.
pub(super) fn shows(output: &[Vec<f64>], references: &[Reference]) -> bool {
    let truth: Vec<&[f64]> = references.iter().map(|r| r.truth.as_slice()).collect();
    !within(output, &truth, references, 4.0)
}

/// How much more of the output than the best a suspect may leave that counts as the same (A115).
pub(super) const TIE: f64 = 1.1;

/// The best suspect with the names of those that the case does not tell from it: they explain the output as
/// well, and differ from it by less than the tolerance (A115).
pub(super) fn tied(mut found: Vec<Suspect>, references: &[Reference]) -> Vec<Suspect> {
    if found.is_empty() {
        return found;
    }
    let mut best = found.remove(0);
    let output: Vec<&[f64]> = best.output.iter().map(Vec::as_slice).collect();
    let alike = |s: &Suspect| {
        s.over == Over::Everything
            && s.residual <= TIE * best.residual
            && within(&s.output, &output, references, 1.0)
    };
    let (same, others): (Vec<Suspect>, Vec<Suspect>) = found.into_iter().partition(alike);
    for name in same.into_iter().flat_map(|s| s.names) {
        if !best.names.contains(&name) {
            best.names.push(name);
        }
    }
    std::iter::once(best).chain(others).collect()
}

/// What comes out with each known bug of a case.
#[derive(Debug, Clone)]
pub(super) struct Bugs {
    suspects: Vec<Suspect>,
    hidden: Vec<&'static str>,
}

impl Bugs {
    /// Runs the reference with every known bug.
    pub(super) fn of(
        mutants: Vec<Mutant<'_>>,
        inputs: &Inputs,
        references: &[Reference],
        tick: Tick<'_>,
    ) -> Self {
        let outputs = par::map(&mutants, |mutant| {
            let output = (!mutant.idle).then(|| (mutant.run)(inputs, Precision::Exact));
            tick();
            output
        });
        let (mut suspects, mut hidden): (Vec<Suspect>, Vec<&'static str>) = (vec![], vec![]);
        for (mutant, output) in mutants.into_iter().zip(outputs) {
            let Mutant { name, says, form, .. } = mutant;
            let Some(output) = output.filter(|output| shows(output, references)) else {
                hidden.push(name);
                continue;
            };
            let same = |s: &&mut Suspect| {
                let other: Vec<&[f64]> = s.output.iter().map(Vec::as_slice).collect();
                within(&output, &other, references, 1e-6)
            };
            match suspects.iter_mut().find(same) {
                Some(equal) if equal.names.contains(&name) => {}
                Some(equal) => equal.names.push(name),
                None => {
                    let (names, residual, over) = (vec![name], f64::INFINITY, Over::Everything);
                    suspects.push(Suspect { names, says, form, residual, over, output });
                }
            }
        }
        // A bug counts as hidden where none of its forms shows.
        let mut once = BTreeSet::new();
        let shown = |name: &str| suspects.iter().any(|s| s.names.contains(&name));
        hidden.retain(|&name| !shown(name) && once.insert(name));
        Self { suspects, hidden }
    }

    /// The bugs by how well they explain an output.
    pub(super) fn explaining(self, got: &[Vec<f64>], references: &[Reference]) -> Diagnosis {
        let Self { mut suspects, hidden } = self;
        suspects.iter_mut().for_each(|s| s.residual = residual(&s.output, got));
        suspects.sort_by(|a, b| a.residual.total_cmp(&b.residual));
        let suspects = tied(suspects, references);
        let against_truth = residual(references.iter().map(|r| &r.truth), got);
        Diagnosis { suspects, not_observable: hidden, against_truth }
    }
}

/// Elements of an output from which on bugs are tried on a part of it first, where they can be.
const LARGE: usize = 1 << 18;

/// Runs the reference with every known bug, and ranks them; a step for each bug.
pub fn diagnose(
    mutants: Vec<Mutant<'_>>,
    inputs: &Inputs,
    (got, references): (&[Vec<f64>], &[Reference]),
    tick: Tick<'_>,
) -> Diagnosis {
    let large = got.iter().map(Vec::len).sum::<usize>() >= LARGE;
    match (got, references) {
        ([got], [reference]) if large && mutants.iter().any(|m| m.rows.is_some()) => {
            screened(mutants, inputs, &Judged { got, reference }, tick)
        }
        _ => Bugs::of(mutants, inputs, references, tick).explaining(got, references),
    }
}
