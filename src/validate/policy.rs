//! Rules by which people call a kernel right, by name.

use super::difference::{Difference, gap};
use super::layout::Stored;
use super::reference::Judged;
use crate::codec::Float;

/// What a policy compares.
#[derive(Clone, Copy)]
pub enum Rule {
    /// Every element lies within `atol + rtol |e|`; the function gives `(rtol, atol)` by format.
    Close(fn(Stored) -> (f64, f64)),
    /// The same, with a cosine and a gain that near to 1.
    Aligned(fn(Stored) -> (f64, f64), f64),
    /// So large a part of the elements does.
    Matched(fn(Stored) -> (f64, f64), f64),
    /// Within twice the emulation's largest error and one unit in the last place of the row's maximum.
    TwoReference,
    /// Largest error within the operator's multiple, mean error within so many times those of the emulation.
    Multiple(f64),
    /// The normalized mean squared error stays below the operator's usual one; no NaN.
    Nmse,
    /// Elements close; where the operator has a usual ratio, mean error over mean magnitude below that.
    Ratio(fn(Stored) -> (f64, f64)),
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
        says: "2x the emulation's largest error + 1 output ULP of the row's maximum (A105, of layers A114)",
        rule: Rule::TwoReference,
    },
    Policy {
        name: "torch",
        says: "torch.testing.assert_close's tolerances by type",
        rule: Rule::Close(torch),
    },
    Policy {
        name: "flash-attention",
        says: "largest error 2x (3x where scores are capped, 4x over an fp8 cache), mean error 1.5x the emulation's",
        rule: Rule::Multiple(1.5),
    },
    Policy {
        name: "ggml-nmse",
        says: "NMSE as test-backend-ops has it: 1e-7, products and attention 5e-4; no NaN",
        rule: Rule::Nmse,
    },
    Policy {
        name: "flashinfer",
        says: "rtol = atol = 1e-3 (8 bits 1e-1), cosine above 0.99, gain within 1 % of 1",
        rule: Rule::Aligned(
            |stored| if is_narrow(stored) { (1e-1, 1e-1) } else { (1e-3, 1e-3) },
            0.01,
        ),
    },
    Policy {
        name: "vllm",
        says: "atol 1e-3, rtol 1e-5; quantized products: mean error 4 % of the mean magnitude",
        rule: Rule::Ratio(|_| (1e-5, 1e-3)),
    },
    Policy {
        name: "cudnn",
        says: "rtol = atol = 2e-2; 8 bits rtol 2e-1, atol 8e-2",
        rule: Rule::Close(|stored| if is_narrow(stored) { (2e-1, 8e-2) } else { (2e-2, 2e-2) }),
    },
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
fn torch(stored: Stored) -> (f64, f64) {
    match stored.float() {
        Some(Float::BF16) => (1.6e-2, 1e-5),
        Some(Float::FP16) => (1e-3, 1e-5),
        Some(_) => (1.3e-6, 1e-5),
        None => (0.0, 0.0),
    }
}

/// A float of 8 bits or fewer.
fn is_narrow(stored: Stored) -> bool {
    stored.float().is_some_and(|float| float.bits() <= 8)
}

fn kernelbench(stored: Stored) -> (f64, f64) {
    if stored == Stored::Float(Float::FP32) { (1e-4, 1e-4) } else { (1e-2, 1e-2) }
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
        let Judged { got, reference } = *judged;
        let (truth, emulated, stored) =
            (&reference.truth, &reference.emulated, reference.output.layout.stored);
        match self {
            Self::Close(tolerance) => elements(got, truth, close(tolerance(stored)), 1.0),
            Self::Aligned(tolerance, near) => {
                let close = elements(got, truth, close(tolerance(stored)), 1.0);
                let d = Difference::of(got, truth, stored);
                let silent = d.expected.zero == truth.len();
                let aligned = d.cosine >= 1.0 - near && (d.gain - 1.0).abs() <= near;
                Outcome { passed: close.passed && (aligned || silent), ..close }
            }
            Self::Matched(tolerance, part) => elements(got, truth, close(tolerance(stored)), part),
            Self::TwoReference => {
                // NaN where rounding alone decides (A131).
                let own = |i: usize, _| Some(reference.tolerance[i]).filter(|t| !t.is_nan());
                elements(got, truth, own, 1.0)
            }
            Self::Exact => elements(got, emulated, |_, _| Some(0.0), 1.0),
            Self::Multiple(mean) => {
                let ((a, a_mean), (e, e_mean)) = (errors(got, truth), errors(emulated, truth));
                let limit = reference.usual.multiple * e;
                whole(a <= limit && a_mean <= mean * e_mean, a, limit)
            }
            Self::Nmse => {
                let nmse = Difference::of(got, truth, stored).nmse;
                whole(nmse <= reference.usual.nmse, nmse, reference.usual.nmse)
            }
            Self::Ratio(tolerance) => match reference.usual.mean_ratio {
                None => elements(got, truth, close(tolerance(stored)), 1.0),
                Some(limit) => {
                    let magnitude = errors(&vec![0.0; truth.len()], truth).1;
                    let ratio = errors(got, truth).1 / magnitude;
                    whole(ratio <= limit, ratio, limit)
                }
            },
        }
    }
}

/// A judgement of all elements together.
const fn whole(passed: bool, measured: f64, limit: f64) -> Outcome {
    Outcome { passed, measured, limit, beyond: vec![] }
}

/// Largest and mean distance from the truth; NaN where there is one.
fn errors(of: &[f64], truth: &[f64]) -> (f64, f64) {
    let gaps = of.iter().zip(truth).map(|(&a, &e)| gap(a, e));
    let worst = |m: f64, g: f64| if g > m || g.is_nan() { g } else { m };
    let (max, sum) = gaps.fold((0.0, 0.0), |(m, s), g| (worst(m, g), s + g));
    (max, sum / of.len().max(1) as f64)
}

fn close((rtol, atol): (f64, f64)) -> impl Fn(usize, f64) -> Option<f64> {
    move |_, e| Some(atol + rtol * e.abs())
}

/// Elements within a tolerance of their own: measured and allowed are those of the worst. Without a tolerance an
/// element is not judged.
fn elements(
    got: &[f64],
    expected: &[f64],
    tolerance: impl Fn(usize, f64) -> Option<f64>,
    part: f64,
) -> Outcome {
    let (mut beyond, mut worst) = (vec![], (f64::NEG_INFINITY, 0.0, 0.0));
    for (i, (&a, &e)) in got.iter().zip(expected).enumerate() {
        let Some(allowed) = tolerance(i, e) else { continue };
        let distance = gap(a, e);
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
