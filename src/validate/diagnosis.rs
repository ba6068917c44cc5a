//! Which known bug an output comes from.

use super::case::{Case, Mutant, Outputs, Precision};
use super::layout::Inputs;
use super::reference::Reference;
use crate::par;

/// A bug, or several that give the same output on the case.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// Names of the mutants.
    pub names: Vec<&'static str>,
    /// What is wrong, of the first.
    pub says: &'static str,
    /// Which form of the bug, where it has several.
    pub form: Option<String>,
    /// NMSE of the output beside the mutant's; the largest, of several outputs.
    pub residual: f64,
    output: Outputs,
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
fn nmse(reference: &[f64], values: &[f64]) -> f64 {
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

fn residual<'a>(references: impl IntoIterator<Item = &'a Vec<f64>>, got: &[Vec<f64>]) -> f64 {
    references.into_iter().zip(got).map(|(r, g)| nmse(r, g)).fold(0.0, f64::max)
}

/// Whether every element of every output lies within so many times its tolerance.
fn within(a: &[Vec<f64>], b: &[&[f64]], references: &[Reference], times: f64) -> bool {
    let near = |((&a, &b), &t): ((&f64, &f64), &f64)| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= times * t
    };
    let each = a.iter().zip(b).zip(references);
    each.into_iter().all(|((a, b), r)| a.iter().zip(*b).zip(&r.tolerance).all(near))
}

/// Whether an output differs from the truth by more than four times its tolerance somewhere.
pub(super) fn shows(output: &[Vec<f64>], references: &[Reference]) -> bool {
    let truth: Vec<&[f64]> = references.iter().map(|r| r.truth.as_slice()).collect();
    !within(output, &truth, references, 4.0)
}

/// Runs the reference with every known bug.
pub fn diagnose(
    case: &dyn Case,
    inputs: &Inputs,
    got: &[Vec<f64>],
    references: &[Reference],
) -> Diagnosis {
    let mutants = case.mutants();
    let outputs = par::map(&mutants, |mutant| (mutant.run)(inputs, Precision::Exact));
    let (mut found, mut hidden): (Vec<Suspect>, Vec<&'static str>) = (vec![], vec![]);
    for (mutant, output) in mutants.into_iter().zip(outputs) {
        let Mutant { name, says, form, .. } = mutant;
        if !shows(&output, references) {
            hidden.push(name);
            continue;
        }
        let same = |s: &&mut Suspect| {
            let other: Vec<&[f64]> = s.output.iter().map(Vec::as_slice).collect();
            within(&output, &other, references, 1e-6)
        };
        match found.iter_mut().find(same) {
            Some(equal) if equal.names.contains(&name) => {}
            Some(equal) => equal.names.push(name),
            None => {
                let residual = residual(&output, got);
                found.push(Suspect { names: vec![name], says, form, residual, output });
            }
        }
    }
    found.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    // A bug counts as hidden where none of its forms shows.
    hidden.dedup();
    hidden.retain(|name| !found.iter().any(|s| s.names.contains(name)));
    let against_truth = residual(references.iter().map(|r| &r.truth), got);
    Diagnosis { suspects: found, not_observable: hidden, against_truth }
}
