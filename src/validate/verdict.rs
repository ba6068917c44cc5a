//! What a policy says of an output.

use super::difference::Difference;
use super::policy::Policy;
use super::reference::Judged;

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
    /// An output of another size than its references.
    pub fn of(policy: &Policy, judged: &Judged<'_>) -> Self {
        let Judged { got, reference } = judged;
        let stored = reference.output.layout.stored;
        let difference = Difference::of(got, &reference.truth, stored);
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
    use crate::codec::Float;
    use crate::validate::reference::allowed;
    use crate::validate::{Layout, Output, POLICIES, Reference, Stored, Usual, named};

    fn reference(truth: &[f64], emulated: &[f64]) -> Reference {
        let stored = Stored::Float(Float::BF16);
        let layout = Layout::new("out", "", [("rows", 2), ("width", 2)], stored);
        let output = Output { layout, discrete: false };
        let (truth, emulated) = (truth.to_vec(), emulated.to_vec());
        let tolerance = allowed(&[&emulated], &truth, 2, stored);
        Reference { output, truth, emulated, tolerance, usual: Usual::PLAIN }
    }

    #[test]
    fn every_policy_takes_the_emulation_and_refuses_nan_and_garbage() {
        let truth = [1.0, 2.0, -3.0, 0.25];
        for policy in POLICIES {
            let reference = reference(&truth, &truth);
            let verdict =
                |got: &[f64]| Verdict::of(policy, &Judged { got, reference: &reference }).passed;
            assert!(verdict(&truth), "{}", policy.name);
            assert!(!verdict(&[1.0, f64::NAN, -3.0, 0.25]), "{}", policy.name);
            assert!(!verdict(&[2.0, 1.0, 3.0, 0.5]), "{}", policy.name);
        }
    }

    /// A number in the place of a NaN is wrong by any policy.
    #[test]
    fn a_nan_that_is_expected_is_judged() {
        let truth = [1.0, f64::NAN, -3.0, 0.25];
        let reference = reference(&truth, &truth);
        for policy in ["two-reference", "torch", "cudnn", "kernelbench", "onnx", "exact"] {
            let policy = named(policy).expect("there");
            let verdict =
                |got: &[f64]| Verdict::of(policy, &Judged { got, reference: &reference }).passed;
            assert!(!verdict(&[1.0, 2.0, -3.0, 0.25]), "{}", policy.name);
        }
    }

    /// Small numbers are within an absolute tolerance whatever they are: the gain tells.
    #[test]
    fn small_numbers_of_half_the_size_are_close_and_not_aligned() {
        let truth = [2e-4, -4e-4, 1e-4, 3e-4];
        let reference = reference(&truth, &truth);
        let passed = |policy: &str, got: &[f64]| {
            let policy = named(policy).expect("there");
            Verdict::of(policy, &Judged { got, reference: &reference }).passed
        };
        let halved = truth.map(|x| x / 2.0);
        assert!(passed("vllm", &halved) && !passed("flashinfer", &halved));
        assert!(passed("flashinfer", &truth.map(|x| x * 1.009)));
        assert!(!passed("flashinfer", &truth.map(|x| x * 1.011)));
    }

    #[test]
    fn the_default_allows_twice_the_emulation_and_a_unit() {
        let (truth, emulated) = ([1.0, 0.0, 4.0, 0.0], [1.01, 0.0, 4.0, 0.0]);
        // One unit of bf16 at 1 is 2^-7, at 4 it is 2^-5.
        let edge = [1.0 + 0.0199 + 0.0078, 0.0, 4.0 + 0.0199 + 0.0312, 0.0];
        let policy = named("two-reference").expect("there");
        let reference = reference(&truth, &emulated);
        assert!(Verdict::of(policy, &Judged { got: &edge, reference: &reference }).passed);
        let got = [1.0, 0.028, 4.0, 0.051];
        let over = Verdict::of(policy, &Judged { got: &got, reference: &reference });
        assert_eq!((over.passed, over.beyond, over.matched), (false, vec![1], 0.75));
    }
}
