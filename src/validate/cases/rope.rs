//! Cases of rotary position embedding.

use super::dtype::Dtype;
use super::evaluate::{Evaluated, of, rounded, run, values};
use super::random::Random;
use crate::op::scalar::Scalar;
use crate::op::{Pairing, Rope, RopeScaling};
use crate::tensor::{Step, Stripe};
use crate::validate::case::sizes;
use crate::validate::{
    Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Rotary position embedding of the heads of new tokens. The defaults show every known bug.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RopeCase {
    /// Heads
    #[arg(long, default_value = "4")]
    pub heads: u64,
    /// Elements of a head
    #[arg(long, default_value = "64")]
    pub head_dim: u64,
    /// Elements of a head that turn, the first ones
    #[arg(long, default_value = "48")]
    pub rotary_dim: u64,
    /// Sequences
    #[arg(long, default_value = "2")]
    pub batch: u64,
    /// New tokens of a sequence
    #[arg(long, default_value = "20")]
    pub seq: u64,
    /// Tokens of a sequence before the new ones: the position of the first new token
    #[arg(long, default_value = "100")]
    pub past: u64,
    /// Base of the frequencies
    #[arg(long, default_value = "10000")]
    pub theta: f64,
    /// Which elements turn together
    #[arg(long, value_enum, default_value_t)]
    pub pairing: Pairs,
    /// Stretching of the frequencies, as a model has it.
    #[arg(skip)]
    #[serde(skip)]
    pub scaling: Option<RopeScaling>,
    /// Format of input and output
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// Which elements turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pairs {
    /// i with i + R/2: GPT-NeoX, Llama as Hugging Face stores it
    #[default]
    Half,
    /// 2i with 2i + 1: GPT-J, Llama as Meta stores it
    Interleaved,
}

impl RopeCase {
    fn op(&self) -> Rope {
        let pairing = match self.pairing {
            Pairs::Half => Pairing::Half,
            Pairs::Interleaved => Pairing::Interleaved,
        };
        Rope {
            heads: self.heads,
            head_dim: self.head_dim,
            rotary_dim: self.rotary_dim,
            theta: self.theta,
            pairing,
            scaling: self.scaling.clone(),
            stripe: Stripe::ALL,
        }
    }

    fn layout(&self, name: &str, says: &'static str) -> Layout {
        let axes = [
            ("sequence", self.batch),
            ("token", self.seq),
            ("head", self.heads),
            ("element", self.head_dim),
        ];
        Layout::new(name, says, axes, self.dtype.stored())
    }
}

impl RopeCase {
    /// What becomes of a pair's frequency, in words.
    fn stretch(&self, scaling: &RopeScaling) -> String {
        match scaling {
            RopeScaling::Linear { factor } => format!("f is divided by {factor}."),
            RopeScaling::Table { divisors } => {
                format!("f is divided by element i of {divisors:?}.")
            }
            RopeScaling::LongRope { short, long, original_context, attention_factor } => {
                let is_long = self.past + self.seq > *original_context;
                let divisors = if is_long { long } else { short };
                format!(
                    "f is divided by element i of {divisors:?}; cos and sin are multiplied by \
                     {attention_factor}."
                )
            }
            RopeScaling::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_context,
            } => format!(
                "f becomes f (k + (1 - k) / {factor}), k = (t - {low}) / ({high} - {low}) within 0 and 1, \
                 t = {original_context} f / (2 pi)."
            ),
            RopeScaling::Yarn {
                factor,
                original_context,
                beta_fast,
                beta_slow,
                attention_factor,
                truncate,
            } => {
                let (first, last) = match truncate {
                    true => ("floor(d(", "ceil(d("),
                    false => ("(d(", "(d("),
                };
                format!(
                    "f becomes f (1 - r + r / {factor}), r = (i - a) / (b - a) within 0 and 1, \
                     a = {first}{beta_fast})), b = {last}{beta_slow})), \
                     d(n) = {} ln({original_context} / (2 pi n)) / (2 ln {}); \
                     cos and sin are multiplied by {attention_factor}.",
                    self.rotary_dim, self.theta
                )
            }
        }
    }
}

impl Evaluated for RopeCase {
    fn format(&self) -> Stored {
        self.dtype.stored()
    }

    fn evaluated<S: Scalar>(&self, inputs: &Inputs, format: Option<Stored>) -> Vec<f64> {
        let step = Step::chunked(self.batch, self.seq, self.past);
        let step = step.expect("invariant: a checked case has a step");
        let width = (self.heads * self.head_dim) as usize;
        let x = of::<S>(inputs.of("x"));
        let out = run(&self.op(), &step, &[(&x, width)], (x.len() / width, width));
        values(&rounded(format, out))
    }
}

impl Case for RopeCase {
    fn check(&self) -> Result<(), CaseError> {
        let Self { heads, head_dim, rotary_dim, batch, seq, .. } = *self;
        let named = [("heads", heads), ("head_dim", head_dim), ("rotary_dim", rotary_dim)];
        let named: Vec<_> = named.into_iter().chain([("batch", batch), ("seq", seq)]).collect();
        sizes(&named, named.iter().map(|n| n.1 as f64).product())?;
        let number = |why: String| Err(CaseError::Number(why));
        if rotary_dim > head_dim || !rotary_dim.is_multiple_of(2) {
            return number(format!("rotary_dim is {rotary_dim}, not even and at most {head_dim}"));
        }
        if !(self.theta > 1.0 && self.theta.is_finite()) {
            return number("theta is not a finite number above 1".to_owned());
        }
        Ok(Step::chunked(batch, seq, self.past).map(|_| ())?)
    }

    fn title(&self) -> String {
        let Self { heads, head_dim, rotary_dim, batch, seq, past, dtype, .. } = self;
        format!(
            "rope, {heads} heads of {head_dim} of which {rotary_dim} turn, {seq} tokens from position \
             {past}, batch {batch}, {dtype}"
        )
    }

    fn conventions(&self) -> Vec<String> {
        let pair = match self.pairing {
            Pairs::Half => format!("i and i + {}", self.rotary_dim / 2),
            Pairs::Interleaved => "2i and 2i + 1".to_owned(),
        };
        let mut lines = vec![
            format!("Token t of a sequence is at position {} + t.", self.past),
            format!("Elements {pair} of a head turn together."),
            format!(
                "Pair i turns by position * f, f = {}^(-2i / {}).",
                self.theta, self.rotary_dim
            ),
        ];
        lines.extend(self.scaling.as_ref().map(|scaling| self.stretch(scaling)));
        lines.push("(a, b) becomes (a cos - b sin, b cos + a sin).".to_owned());
        if self.rotary_dim < self.head_dim {
            lines.push(format!("Elements from {} on stay as they are.", self.rotary_dim));
        }
        lines
    }

    fn inputs(&self) -> Inputs {
        Inputs(vec![Random::new(self.seed).array(self.layout("x", "queries or keys"))])
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output { layout: self.layout("out", "the turned heads"), discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.in_precision(inputs, precision)
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        let other = |name, says, change: fn(&mut Self)| Mutant::changed(self, name, says, change);
        vec![
            other("pairing", "the other elements are paired (half against interleaved)", |c| {
                c.pairing = match c.pairing {
                    Pairs::Half => Pairs::Interleaved,
                    Pairs::Interleaved => Pairs::Half,
                };
            }),
            other("position-plus-1", "positions are one too high", |c| c.past += 1),
            other("position-minus-1", "positions are one too low", |c| {
                c.past = c.past.saturating_sub(1);
            }),
            other("past-missing", "positions start at 0, the past is left out", |c| c.past = 0),
            other("theta-10000", "the base of the frequencies is 10000", |c| c.theta = 1e4),
            other("theta-500000", "the base of the frequencies is 500000", |c| c.theta = 5e5),
            other("whole-head", "all elements of a head turn, not the first ones", |c| {
                // A table has no number for the others.
                if !matches!(
                    c.scaling,
                    Some(RopeScaling::Table { .. } | RopeScaling::LongRope { .. })
                ) {
                    c.rotary_dim = c.head_dim / 2 * 2;
                }
            }),
            Mutant::new(
                "frequencies-of-head",
                "exponents are over the head, not over what turns",
                {
                    move |inputs, precision| {
                        let power = self.rotary_dim as f64 / self.head_dim as f64;
                        Self { theta: self.theta.powf(power), ..self.clone() }
                            .eval(inputs, precision)
                    }
                },
            ),
            Mutant::new(
                "sign",
                "turned the other way: the sine has the wrong sign",
                |inputs, p| {
                    // The conjugate of what turns, turned and conjugated again.
                    let out = self.eval(&inputs.with("x", self.conjugate(inputs.of("x"))), p);
                    vec![self.conjugate(&out[0])]
                },
            ),
            other("stretch-missing", "frequencies are not stretched", |c| c.scaling = None),
            Mutant::new("rotation-missing", "nothing turns", |inputs, _| {
                vec![inputs.of("x").to_vec()]
            }),
            Mutant::new(
                "head-as-token",
                "the heads' index is taken for the position",
                |inputs, p| self.transposed(inputs, p),
            ),
        ]
    }
}

impl RopeCase {
    /// The second element of every pair with the other sign.
    fn conjugate(&self, x: &[f64]) -> Vec<f64> {
        let (rotary, dim) = (self.rotary_dim as usize, self.head_dim as usize);
        let second = |d: usize| match self.pairing {
            Pairs::Half => (rotary / 2..rotary).contains(&d),
            Pairs::Interleaved => d < rotary && d % 2 == 1,
        };
        x.iter().enumerate().map(|(i, &x)| if second(i % dim) { -x } else { x }).collect()
    }

    /// `[batch, tokens, heads, d]` read as `[batch, heads, tokens, d]`: row `i` of a sequence is at position
    /// `past + i % tokens` of head `i / tokens`.
    fn transposed(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        let folded = Self { heads: 1, batch: self.batch * self.heads, ..self.clone() };
        folded.eval(inputs, precision)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;

    #[test]
    fn bugs_are_told_apart() {
        let case = |dtype, pairing, theta| RopeCase {
            heads: 4,
            head_dim: 64,
            rotary_dim: 48,
            batch: 2,
            seq: 20,
            past: 100,
            theta,
            pairing,
            scaling: None,
            dtype,
            seed: 5,
        };
        let cases = [
            case(Dtype::Bf16, Pairs::Half, 1e4),
            case(Dtype::Fp32, Pairs::Interleaved, 1e6),
            RopeCase { seq: 1, rotary_dim: 64, ..case(Dtype::Bf16, Pairs::Interleaved, 5e5) },
            RopeCase { seq: 1, ..case(Dtype::Fp16, Pairs::Half, 1e4) },
            RopeCase {
                scaling: Some(RopeScaling::Linear { factor: 8.0 }),
                ..case(Dtype::Bf16, Pairs::Half, 1e4)
            },
        ];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }
}
