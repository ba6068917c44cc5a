//! Rules by which people call a kernel right, by name.

use super::difference::{Difference, gap};
use super::verdict::Judged;
use crate::codec::Float;

/// What a policy compares.
#[derive(Clone, Copy)]
pub enum Rule {
    /// Every element lies within `atol + rtol |e|`; the function gives `(rtol, atol)` by format.
    Close(fn(Float) -> (f64, f64)),
    /// So large a part of the elements does.
    Matched(fn(Float) -> (f64, f64), f64),
    /// Within twice the emulation's largest error and one unit in the last place of the row's maximum.
    TwoReference,
    /// Largest and mean error within so many times those of the emulation.
    Multiple(f64, f64),
    /// The normalized mean squared error stays below; no NaN.
    Nmse(f64),
    /// Every element is the emulation's.
    Exact,
}

/// A named rule.
#[derive(Clone, Copy)]
pub struct Policy {
    /// Name on the command line.
    pub name: &'static str,
    /// The rule in words.
    pub says: &'static str,
    /// What it compares.
    pub rule: Rule,
}

/// Every policy, the default first.
pub const POLICIES: &[Policy] = &[
    Policy {
        name: "two-reference",
        says: "2x the emulation's largest error + 1 output ULP of the row's maximum (A105)",
        rule: Rule::TwoReference,
    },
    Policy {
        name: "torch",
        says: "torch.testing.assert_close's tolerances by type",
        rule: Rule::Close(torch),
    },
    Policy {
        name: "flash-attention",
        says: "largest error 2x, mean error 1.5x the emulation's",
        rule: Rule::Multiple(2.0, 1.5),
    },
    Policy {
        name: "ggml-nmse",
        says: "NMSE 5e-4, test-backend-ops' for attention; no NaN",
        rule: Rule::Nmse(5e-4),
    },
    Policy {
        name: "flashinfer",
        says: "rtol = atol = 1e-3, its tests' for fp16",
        rule: Rule::Close(|_| (1e-3, 1e-3)),
    },
    Policy {
        name: "vllm",
        says: "atol 1e-3, rtol 1e-5, its attention tests'",
        rule: Rule::Close(|_| (1e-5, 1e-3)),
    },
    Policy { name: "cudnn", says: "rtol = atol = 2e-2", rule: Rule::Close(|_| (2e-2, 2e-2)) },
    Policy {
        name: "kernelbench",
        says: "rtol = atol: fp32 1e-4, 16 bits 1e-2",
        rule: Rule::Close(kernelbench),
    },
    Policy {
        name: "onnx",
        says: "rtol 1e-3, atol 1e-7, the node tests'",
        rule: Rule::Close(|_| (1e-3, 1e-7)),
    },
    Policy { name: "exact", says: "every element is the emulation's", rule: Rule::Exact },
    Policy {
        name: "matched-ratio",
        says: "99 % of the elements within torch's tolerances (A106)",
        rule: Rule::Matched(torch, 0.99),
    },
];

/// The policy of that name.
pub fn named(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|p| p.name == name)
}

/// `(rtol, atol)` by type, as the documentation of `torch.testing.assert_close` has them.
fn torch(format: Float) -> (f64, f64) {
    match format {
        Float::BF16 => (1.6e-2, 1e-5),
        Float::FP16 => (1e-3, 1e-5),
        _ => (1.3e-6, 1e-5),
    }
}

fn kernelbench(format: Float) -> (f64, f64) {
    if format == Float::FP32 { (1e-4, 1e-4) } else { (1e-2, 1e-2) }
}

/// What a rule measured, and what it allows.
pub(super) struct Outcome {
    pub passed: bool,
    pub measured: f64,
    pub limit: f64,
    /// Elements beyond an element's own tolerance; none where the rule has none.
    pub beyond: Vec<usize>,
}

impl Rule {
    pub(super) fn judge(self, judged: &Judged<'_>) -> Outcome {
        let Judged { got, truth, emulated, format, .. } = *judged;
        match self {
            Self::Close(tolerance) => elements(got, truth, close(tolerance(format)), 1.0),
            Self::Matched(tolerance, part) => elements(got, truth, close(tolerance(format)), part),
            Self::TwoReference => {
                let tolerance = judged.tolerance();
                elements(got, truth, |i, _| tolerance[i], 1.0)
            }
            Self::Exact => elements(got, emulated, |_, _| 0.0, 1.0),
            Self::Multiple(largest, mean) => {
                let errors = |of: &[f64]| -> (f64, f64) {
                    let gaps = of.iter().zip(truth).map(|(&a, &e)| gap(a, e));
                    let worst = |m: f64, g: f64| if g > m || g.is_nan() { g } else { m };
                    let (max, sum) = gaps.fold((0.0, 0.0), |(m, s), g| (worst(m, g), s + g));
                    (max, sum / of.len().max(1) as f64)
                };
                let ((a, a_mean), (e, e_mean)) = (errors(got), errors(emulated));
                let passed = a <= largest * e && a_mean <= mean * e_mean;
                Outcome { passed, measured: a, limit: largest * e, beyond: vec![] }
            }
            Self::Nmse(limit) => {
                let nmse = Difference::of(got, truth, format).nmse;
                Outcome { passed: nmse <= limit, measured: nmse, limit, beyond: vec![] }
            }
        }
    }
}

fn close((rtol, atol): (f64, f64)) -> impl Fn(usize, f64) -> f64 {
    move |_, e| atol + rtol * e.abs()
}

/// Elements within a tolerance of their own: measured and allowed are those of the worst.
fn elements(
    got: &[f64],
    expected: &[f64],
    tolerance: impl Fn(usize, f64) -> f64,
    part: f64,
) -> Outcome {
    let (mut beyond, mut worst) = (vec![], (f64::NEG_INFINITY, 0.0, 0.0));
    for (i, (&a, &e)) in got.iter().zip(expected).enumerate() {
        let (distance, allowed) = (gap(a, e), tolerance(i, e));
        let excess = distance - allowed;
        // NaN is beyond any tolerance.
        let within = excess <= 0.0;
        if excess > worst.0 || (excess.is_nan() && !worst.0.is_nan()) {
            worst = (excess, distance, allowed);
        }
        if !within {
            beyond.push(i);
        }
    }
    let matched = 1.0 - beyond.len() as f64 / got.len().max(1) as f64;
    Outcome { passed: matched >= part, measured: worst.1, limit: worst.2, beyond }
}
