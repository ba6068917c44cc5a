//! What a policy says of an output.

use super::difference::{Difference, gap};
use super::policy::Policy;
use crate::codec::Float;

/// An output beside its two references; rows of `width` elements.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// What the kernel wrote.
    pub got: &'a [f64],
    /// The operators in f64.
    pub truth: &'a [f64],
    /// The operators in the kernel's precision.
    pub emulated: &'a [f64],
    /// Largest error of the emulations: of the operators, and of another order of sums.
    pub error: f64,
    /// Elements of a row: one head of one token.
    pub width: usize,
    /// Format of the output.
    pub format: Float,
}

/// Largest distance of values from the truth.
pub(super) fn error(values: &[f64], truth: &[f64]) -> f64 {
    values.iter().zip(truth).map(|(&a, &e)| gap(a, e)).fold(0.0, f64::max)
}

impl Judged<'_> {
    /// The default policy's tolerance of every element: twice the emulation's largest error, and one unit
    /// in the last place of the row's largest magnitude (A105).
    pub fn tolerance(&self) -> Vec<f64> {
        let error = self.error;
        let rows = self.truth.chunks(self.width.max(1));
        let of = |row: &[f64]| {
            let largest = row.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            vec![2.0 * error + self.format.ulp(largest); row.len()]
        };
        rows.flat_map(of).collect()
    }
}

/// What a policy says, with what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The policy's name.
    pub policy: &'static str,
    /// Right or wrong.
    pub passed: bool,
    /// Error of the worst element, or of the whole, in the policy's measure.
    pub measured: f64,
    /// What the policy allows there.
    pub limit: f64,
    /// Elements beyond their tolerance, in order.
    pub beyond: Vec<usize>,
    /// Part of the elements within it.
    pub matched: f64,
    /// The output beside the truth.
    pub difference: Difference,
}

impl Verdict {
    /// Judges an output by a policy.
    ///
    /// # Panics
    /// References of another size than the output.
    pub fn of(policy: &Policy, judged: &Judged<'_>) -> Self {
        assert_eq!(judged.truth.len(), judged.emulated.len(), "references of one size");
        let difference = Difference::of(judged.got, judged.truth, judged.format);
        let outcome = policy.rule.judge(judged);
        let matched = 1.0 - outcome.beyond.len() as f64 / judged.got.len().max(1) as f64;
        Self {
            policy: policy.name,
            passed: outcome.passed,
            measured: outcome.measured,
            limit: outcome.limit,
            beyond: outcome.beyond,
            matched,
            difference,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::{POLICIES, named};

    fn judged<'a>(got: &'a [f64], truth: &'a [f64], emulated: &'a [f64]) -> Judged<'a> {
        let error = error(emulated, truth);
        Judged { got, truth, emulated, error, width: 2, format: Float::BF16 }
    }

    #[test]
    fn every_policy_takes_the_emulation_and_refuses_nan_and_garbage() {
        let truth = [1.0, 2.0, -3.0, 0.25];
        for policy in POLICIES {
            let verdict = |got: &[f64]| Verdict::of(policy, &judged(got, &truth, &truth)).passed;
            assert!(verdict(&truth), "{}", policy.name);
            assert!(!verdict(&[1.0, f64::NAN, -3.0, 0.25]), "{}", policy.name);
            assert!(!verdict(&[2.0, 1.0, 3.0, 0.5]), "{}", policy.name);
        }
    }

    #[test]
    fn the_default_allows_twice_the_emulation_and_a_unit() {
        let (truth, emulated) = ([1.0, 0.0, 4.0, 0.0], [1.01, 0.0, 4.0, 0.0]);
        // One unit of bf16 at 1 is 2^-7, at 4 it is 2^-5.
        let edge = [1.0 + 0.0199 + 0.0078, 0.0, 4.0 + 0.0199 + 0.0312, 0.0];
        let policy = named("two-reference").expect("there");
        assert!(Verdict::of(policy, &judged(&edge, &truth, &emulated)).passed);
        let over = Verdict::of(policy, &judged(&[1.0, 0.028, 4.0, 0.051], &truth, &emulated));
        assert_eq!((over.passed, over.beyond, over.matched), (false, vec![1], 0.75));
    }
}
