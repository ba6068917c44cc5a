//! Cases of choosing the next token.

use super::dtype::Dtype;
use super::evaluate::{of, run, values};
use super::random::Random;
use crate::codec::Float;
use crate::formats::Kind;
use crate::op::scalar::Scalar;
use crate::op::{Sample, Sampler};
use crate::tensor::Step;
use crate::validate::case::sizes;
use crate::validate::{
    Array, Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use serde::{Deserialize, Serialize};

/// The next token of every row of logits. The defaults show every known bug.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingCase {
    /// Rows of logits
    #[arg(long, default_value = "64")]
    pub rows: u64,
    /// Logits of a row
    #[arg(long, default_value = "500")]
    pub vocabulary: u64,
    /// Temperature; 0 takes the largest logit
    #[arg(long, default_value = "0.7")]
    pub temperature: f64,
    /// Format of the logits
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// How far a uniform number stays away from where the token changes.
const MARGIN: f64 = 1e-4;

impl SamplingCase {
    fn sampler(&self) -> Sampler {
        match self.temperature {
            0.0 => Sampler::Greedy,
            temperature => Sampler::Random { temperature },
        }
    }

    fn evaluated<S: Scalar>(&self, sampler: Sampler, logits: &[f64], uniform: &[f64]) -> Vec<f64> {
        let width = self.vocabulary as usize;
        let rows = logits.len() / width;
        let step = Step::decode(rows as u64, 1).expect("invariant: a checked case has a step");
        let op = Sample { vocabulary: self.vocabulary, sampler };
        let (logits, uniform) = (of::<S>(logits), of::<S>(uniform));
        let operands: [(&[S], usize); 2] = [(&logits, width), (&uniform, 1)];
        let random = sampler != Sampler::Greedy;
        values(&run(&op, &step, &operands[..1 + usize::from(random)], (rows, 1)))
    }

    fn by(&self, sampler: Sampler, inputs: &Inputs, precision: Precision) -> Outputs {
        let uniform = match self.sampler() {
            Sampler::Greedy => vec![0.5; self.rows as usize],
            Sampler::Random { .. } => inputs.of("u").to_vec(),
        };
        let logits = inputs.of("logits");
        vec![match precision {
            Precision::Exact => self.evaluated::<f64>(sampler, logits, &uniform),
            Precision::Kernel => self.evaluated::<f32>(sampler, logits, &uniform),
        }]
    }

    /// Whether rounding cannot change the token.
    fn is_clear(&self, logits: &[f64], uniform: f64) -> bool {
        let token = |u: f64| self.evaluated::<f64>(self.sampler(), logits, &[u]);
        let right = token(uniform);
        let near = [uniform - MARGIN, uniform + MARGIN];
        near.iter().all(|&u| (0.0..1.0).contains(&u) && token(u) == right)
    }

    /// One number for each row.
    fn per_row(&self, name: &str, says: &'static str, stored: Stored) -> Layout {
        Layout::new(name, says, [("row", self.rows)], stored)
    }

    /// Logits of a row whose largest is alone, at the last place, so that the first and the last largest are
    /// one; or drawn until it is.
    fn row(&self, random: &mut Random) -> Vec<f64> {
        let layout = Layout::new("row", "", [("token", self.vocabulary)], self.dtype.stored());
        let mut row = random.scaled(layout, 0.0, 3.0).values;
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let first = row.iter().position(|&x| x == largest).unwrap_or(0);
        let below = self.dtype.stored().round(largest - 0.25);
        for (i, x) in row.iter_mut().enumerate() {
            if *x == largest && i != first {
                *x = below;
            }
        }
        row
    }
}

impl Case for SamplingCase {
    fn check(&self) -> Result<(), CaseError> {
        let named = [("rows", self.rows), ("vocabulary", self.vocabulary)];
        sizes(&named, 100.0 * self.rows as f64 * self.vocabulary as f64)?;
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            let why = "temperature is not a finite number from 0 on".to_owned();
            return Err(CaseError::Number(why));
        }
        Ok(())
    }

    fn title(&self) -> String {
        let Self { rows, vocabulary, temperature, dtype, .. } = self;
        format!(
            "sampling at temperature {temperature}, {rows} rows of {vocabulary} logits, {dtype}"
        )
    }

    fn conventions(&self) -> Vec<String> {
        match self.sampler() {
            Sampler::Greedy => {
                vec!["The token is that of the largest logit; none is tied.".to_owned()]
            }
            Sampler::Random { temperature } => vec![
                format!("Weights are exp((logit - max) / {temperature})."),
                "The token is the first whose cumulative weight is above u times the sum."
                    .to_owned(),
                format!("No u is within {MARGIN} of where the token changes."),
            ],
        }
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let axes = [("row", self.rows), ("token", self.vocabulary)];
        let logits = Layout::new("logits", "the logits", axes, self.dtype.stored());
        let fp32 = Stored::Float(Float::FP32);
        let (mut rows, mut uniforms) = (vec![], vec![]);
        for _ in 0..self.rows {
            let row = self.row(&mut random);
            let mut draw = || fp32.round(random.fraction());
            let found = (0..256).map(|_| draw()).find(|&u| self.is_clear(&row, u));
            uniforms.push(found.unwrap_or(0.5));
            rows.extend(row);
        }
        let mut arrays = vec![Array { layout: logits, values: rows }];
        if self.sampler() != Sampler::Greedy {
            let layout = self.per_row("u", "uniform numbers in [0, 1)", fp32);
            arrays.push(Array { layout, values: uniforms });
        }
        Inputs(arrays)
    }

    fn outputs(&self) -> Vec<Output> {
        let layout = self.per_row("out", "the tokens", Stored::Integer(Kind::I32));
        vec![Output { layout, discrete: true }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.by(self.sampler(), inputs, precision)
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        let other = |name, says, temperature: f64| {
            let sampler = match temperature {
                0.0 => Sampler::Greedy,
                temperature => Sampler::Random { temperature },
            };
            Mutant::new(name, says, move |inputs: &Inputs, p| self.by(sampler, inputs, p))
        };
        let on = |name, says, change: fn(f64) -> f64| {
            Mutant::new(name, says, move |inputs: &Inputs, p| {
                if self.sampler() == Sampler::Greedy {
                    return self.eval(inputs, p);
                }
                let turned = inputs.of("u").iter().map(|&u| change(u)).collect();
                self.eval(&inputs.with("u", turned), p)
            })
        };
        let token = |name, says, change: fn(&Self, f64) -> f64| {
            Mutant::new(name, says, move |inputs: &Inputs, p| {
                vec![self.eval(inputs, p)[0].iter().map(|&t| change(self, t)).collect()]
            })
        };
        vec![
            other("greedy", "the largest logit is taken", 0.0),
            other("temperature-missing", "logits are not divided by the temperature", 1.0),
            other("temperature-inverse", "logits are multiplied by the temperature", {
                if self.temperature == 0.0 { 0.0 } else { 1.0 / self.temperature }
            }),
            on("from-the-end", "weights are summed from the last token", |u| 1.0 - u - 1e-9),
            on("uniform-constant", "every row has the same uniform number, 1/2", |_| 0.5),
            token("token-plus-1", "the token behind", |c, t| (t + 1.0) % c.vocabulary as f64),
            token("token-minus-1", "the token before", |_, t| (t - 1.0).max(0.0)),
            Mutant::new("smallest", "the signs of the logits are turned", |inputs, p| {
                let turned = inputs.of("logits").iter().map(|l| -l).collect();
                self.eval(&inputs.with("logits", turned), p)
            }),
            Mutant::new("neighbour", "a row has the token of the row before", |inputs, p| {
                let mut out = self.eval(inputs, p);
                out[0].rotate_right(1);
                out
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;

    #[test]
    fn bugs_are_told_apart() {
        let case = |rows, temperature, dtype| SamplingCase {
            rows,
            vocabulary: 100,
            temperature,
            dtype,
            seed: 3,
        };
        let cases = [
            case(40, 0.7, Dtype::Bf16),
            case(40, 1.4, Dtype::Fp32),
            case(20, 0.0, Dtype::Bf16),
            case(1, 0.0, Dtype::Fp16),
        ];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }
}
