//! What holds of every operator's cases: right kernels pass, known bugs are found and told apart.

use crate::validate::diagnosis::{Bugs, shows};
use crate::validate::screen::screened;
use crate::validate::{
    Case, Diagnosis, Inputs, Judged, Mutant, Outputs, POLICIES, Precision, Reference, Verdict,
    references,
};
use std::collections::BTreeSet;

fn passes(got: &Outputs, references: &[Reference]) -> bool {
    let judged = got.iter().zip(references).map(|(got, reference)| Judged { got, reference });
    judged.map(|j| Verdict::of(&POLICIES[0], &j)).all(|verdict| verdict.passed)
}

/// Right kernels pass the default policy; every bug that shows is ranked first and failed; every bug shows
/// on some case.
pub(super) fn holds(cases: &[&dyn Case]) {
    let (seen, all) = told_apart(cases);
    let never: Vec<_> = all.difference(&seen).collect();
    assert!(never.is_empty(), "no case shows {never:?}");
}

/// The same; returns the bugs that show on some case, and all.
pub(super) fn told_apart(cases: &[&dyn Case]) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let (mut seen, mut all) = (BTreeSet::new(), BTreeSet::new());
    for &case in cases {
        let title = case.title();
        assert_eq!(case.check(), Ok(()), "{title}");
        let inputs = case.inputs();
        assert_eq!(inputs, case.inputs(), "{title}: the seed's");
        let references = references(case, &inputs);
        let right = [case.eval(&inputs, Precision::Exact), case.eval(&inputs, Precision::Kernel)];
        for right in right.iter().chain(&case.orders(&inputs)) {
            assert!(passes(right, &references), "{title}: a right kernel is failed");
        }
        let bugs = Bugs::of(case.mutants(), &inputs, &references, &|| ());
        let outputs: Vec<Outputs> =
            case.mutants().iter().map(|m| (m.run)(&inputs, Precision::Exact)).collect();
        rows_are_of_the_whole(case, &inputs, &outputs);
        for mutant in case.mutants() {
            all.insert(mutant.name);
            let got = (mutant.run)(&inputs, Precision::Kernel);
            let found = bugs.clone().explaining(&got, &references);
            let remembered = remembered(case, &outputs);
            screening_changes_nothing(&found, remembered, &inputs, (&got, &references));
            if !shows(&(mutant.run)(&inputs, Precision::Exact), &references) {
                continue;
            }
            assert!(!found.not_observable.contains(&mutant.name), "{mutant:?} of {title}");
            let ranks: Vec<_> =
                found.suspects.iter().take(3).map(|s| (&s.names, &s.form, s.residual)).collect();
            let what = format!("{mutant:?} of {title}: {ranks:?}");
            assert!(found.suspects[0].names.contains(&mutant.name), "not first: {what}");
            assert!(found.cause().is_some(), "no cause: {what}");
            assert!(!passes(&got, &references), "passed: {what}");
            seen.insert(mutant.name);
        }
        // No known bug.
        let odd = |(i, &x): (usize, &f64)| if i % 7 < 3 { -x } else { 1.1 * x };
        let odd = |r: &Reference| r.truth.iter().enumerate().map(odd).collect();
        let got: Outputs = references.iter().map(odd).collect();
        let found = bugs.explaining(&got, &references);
        let remembered = remembered(case, &outputs);
        screening_changes_nothing(&found, remembered, &inputs, (&got, &references));
    }
    (seen, all)
}

/// Some rows of an output.
fn rows_of(output: &[f64], rows: &[usize], width: usize) -> Vec<f64> {
    rows.iter().flat_map(|&r| &output[r * width..(r + 1) * width]).copied().collect()
}

/// Bugs whose rows can be had alone give the same rows alone.
fn rows_are_of_the_whole(case: &dyn Case, inputs: &Inputs, outputs: &[Outputs]) {
    let width = case.outputs()[0].layout.width();
    for (mutant, output) in case.mutants().iter().zip(outputs) {
        let Some(alone) = &mutant.rows else { continue };
        let rows: Vec<usize> = (0..output[0].len() / width).step_by(3).rev().collect();
        let (alone, whole) = (alone(inputs, &rows), rows_of(&output[0], &rows, width));
        assert_eq!(alone.len(), whole.len());
        for (a, b) in alone.iter().zip(&whole) {
            assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{mutant:?}: {a} is not {b}");
        }
    }
}

/// The bugs of a case with what they give at hand.
fn remembered<'a>(case: &'a dyn Case, outputs: &'a [Outputs]) -> Vec<Mutant<'a>> {
    let width = case.outputs()[0].layout.width();
    let each = case.mutants().into_iter().zip(outputs);
    each.map(|(mutant, output)| {
        let rows = move |_: &Inputs, rows: &[usize]| rows_of(&output[0], rows, width);
        let Mutant { name, says, form, rows: alone, even, idle, .. } = mutant;
        let rows = alone.map(|_| Box::new(rows) as _);
        Mutant { form, rows, even, idle, ..Mutant::new(name, says, move |_, _| output.clone()) }
    })
    .collect()
}

/// The likeliest bug, its ties, the cause and what is not observable are the same where bugs are tried on a part
/// first.
fn screening_changes_nothing(
    found: &Diagnosis,
    mutants: Vec<Mutant<'_>>,
    inputs: &Inputs,
    (got, references): (&Outputs, &[Reference]),
) {
    let ([got], [reference]) = (got.as_slice(), references) else { return };
    if mutants.iter().all(|m| m.rows.is_none()) {
        return;
    }
    let screened = screened(mutants, inputs, &Judged { got, reference }, &|| ());
    let first =
        |d: &Diagnosis| d.suspects.first().map(|s| (s.names.clone(), s.form.clone(), s.residual));
    assert_eq!(first(&screened), first(found));
    let cause = |d: &Diagnosis| d.cause().map(|s| s.says);
    assert_eq!(cause(&screened), cause(found));
    assert_eq!(screened.not_observable, found.not_observable);
    assert_eq!(screened.against_truth, found.against_truth);
    let names = |d: &Diagnosis| -> BTreeSet<&str> {
        d.suspects.iter().flat_map(|s| s.names.clone()).collect()
    };
    assert_eq!(names(&screened), names(found));
}
