//! What holds of every operator's cases: right kernels pass, known bugs are found and told apart.

use crate::validate::diagnosis::{Bugs, shows};
use crate::validate::references;
use crate::validate::{Case, Judged, Outputs, POLICIES, Precision, Reference, Verdict};
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
        let bugs = Bugs::of(case, &inputs, &references);
        for mutant in case.mutants() {
            all.insert(mutant.name);
            let got = (mutant.run)(&inputs, Precision::Kernel);
            let found = bugs.clone().explaining(&got, &references);
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
    }
    (seen, all)
}
