//! Cases of RMS and layer norm.

use super::dtype::Dtype;
use super::evaluate::{Evaluated, of, rounded, run, values};
use super::random::Random;
use crate::op::scalar::Scalar;
use crate::op::{Norm, NormKind};
use crate::tensor::{Dim, Step};
use crate::validate::case::sizes;
use crate::validate::{
    Array, Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// RMS or layer norm of every token. The defaults show every known bug of RMS norm.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormCase {
    /// Which statistics are removed
    #[arg(long, value_enum, default_value_t)]
    pub kind: Statistics,
    /// Tokens
    #[arg(long, default_value = "37")]
    pub tokens: u64,
    /// Elements that are normalised together
    #[arg(long, default_value = "200")]
    pub width: u64,
    /// Groups of so many elements in a token: heads, for a norm of each head
    #[arg(long, default_value = "1")]
    pub groups: u64,
    /// Added to the mean square or variance
    #[arg(long, default_value = "1e-6")]
    pub epsilon: f64,
    /// The gain is 1 + w (Gemma)
    #[arg(long)]
    #[serde(default)]
    pub unit_offset: bool,
    /// A bias is added
    #[arg(long)]
    #[serde(default)]
    pub bias: bool,
    /// Format of inputs and output
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// Which statistics are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistics {
    /// Root mean square
    #[default]
    Rms,
    /// Mean and variance
    Layer,
}

impl NormCase {
    fn op(&self) -> Norm {
        Norm {
            kind: match self.kind {
                Statistics::Rms => NormKind::Rms,
                Statistics::Layer => NormKind::Layer,
            },
            rows: Dim::Tokens,
            groups: self.groups,
            width: self.width,
            epsilon: self.epsilon,
            unit_offset: self.unit_offset,
            bias: self.bias,
            own_gain: false,
        }
    }

    fn layout(&self, name: &str, says: &'static str) -> Layout {
        let axes = [("token", self.tokens), ("element", self.groups * self.width)];
        Layout::new(name, says, axes, self.dtype.stored())
    }

    /// The output for a kernel whose statistics are off by a factor of each group's own.
    fn scaled(
        &self,
        inputs: &Inputs,
        precision: Precision,
        factor: impl Fn(&Self, &[f64]) -> f64,
    ) -> Outputs {
        let (x, width) = (inputs.of("x"), self.width as usize);
        let b = if self.bias { inputs.of("b").to_vec() } else { vec![0.0; width] };
        let out = self.eval(inputs, precision).remove(0);
        let groups = out.chunks_exact(width).zip(x.chunks_exact(width));
        let of = |(out, x): (&[f64], &[f64])| -> Vec<f64> {
            let factor = factor(self, x);
            out.iter().zip(&b).map(|(o, b)| (o - b) * factor + b).collect()
        };
        vec![groups.flat_map(of).collect()]
    }

    /// What is taken off every element of a group.
    fn mean(&self, x: &[f64]) -> f64 {
        match self.kind {
            Statistics::Rms => 0.0,
            Statistics::Layer => x.iter().sum::<f64>() / x.len() as f64,
        }
    }

    /// Mean square of a group, or its variance.
    fn square(&self, x: &[f64]) -> f64 {
        let mean = self.mean(x);
        x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64
    }

    /// Every group of a token as one.
    fn ungrouped(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        let whole = Self { width: self.width * self.groups, groups: 1, ..self.clone() };
        let repeated = |name| inputs.of(name).repeat(self.groups as usize);
        let gained = inputs.with("w", repeated("w"));
        let inputs = if self.bias { gained.with("b", repeated("b")) } else { gained };
        whole.eval(&inputs, precision)
    }
}

impl Evaluated for NormCase {
    fn format(&self) -> Stored {
        self.dtype.stored()
    }

    fn evaluated<S: Scalar>(&self, inputs: &Inputs, format: Option<Stored>) -> Vec<f64> {
        let step = Step::prefill(1, self.tokens).expect("invariant: a checked case has a step");
        let (gains, tokens) = (self.width as usize, self.tokens as usize);
        let width = gains * self.groups as usize;
        let [x, w] = ["x", "w"].map(|name| of::<S>(inputs.of(name)));
        let b: Vec<S> = if self.bias { of(inputs.of("b")) } else { vec![] };
        let operands: [(&[S], usize); 3] = [(&x, width), (&w, gains), (&b, gains)];
        let operands = &operands[..2 + usize::from(self.bias)];
        values(&rounded(format, run(&self.op(), &step, operands, (tokens, width))))
    }
}

impl Case for NormCase {
    fn check(&self) -> Result<(), CaseError> {
        let Self { tokens, width, groups, .. } = *self;
        let work = [tokens, width, groups].map(|n| n as f64).iter().product();
        sizes(&[("tokens", tokens), ("width", width), ("groups", groups)], work)?;
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            return Err(CaseError::Number("epsilon is not a finite number from 0 on".to_owned()));
        }
        Ok(())
    }

    fn title(&self) -> String {
        let Self { tokens, width, groups, dtype, .. } = self;
        format!("{} norm, {tokens} tokens of {groups} x {width}, {dtype}", self.op().kind.name())
    }

    fn conventions(&self) -> Vec<String> {
        let gain = if self.unit_offset { "(1 + w)" } else { "w" };
        let bias = if self.bias { " + b" } else { "" };
        let formula = match self.kind {
            Statistics::Rms => format!("x / sqrt(mean(x^2) + {}) * {gain}{bias}", self.epsilon),
            Statistics::Layer => {
                format!("(x - mean) / sqrt(mean((x - mean)^2) + {}) * {gain}{bias}", self.epsilon)
            }
        };
        vec![format!("The result is {formula}, over each {} elements.", self.width)]
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let vector = |name: &str, says| {
            Layout::new(name, says, [("element", self.width)], self.dtype.stored())
        };
        let mut x = random.scaled(
            self.layout("x", "the input, every other token so small that epsilon matters"),
            0.75,
            1.0,
        );
        let row = (self.groups * self.width) as usize;
        let small = self.epsilon.sqrt();
        for (i, value) in x.values.iter_mut().enumerate() {
            if (i / row) % 2 == 1 {
                *value = self.dtype.stored().round(*value * small);
            }
        }
        let mut arrays: Vec<Array> = vec![x, random.scaled(vector("w", "the gain"), 0.5, 0.5)];
        if self.bias {
            arrays.push(random.array(vector("b", "the bias")));
        }
        Inputs(arrays)
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output { layout: self.layout("out", "the result"), discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.in_precision(inputs, precision)
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        let other = |name, says, change: fn(&mut Self)| Mutant::changed(self, name, says, change);
        vec![
            other("epsilon-missing", "epsilon is not added", |c| c.epsilon = 0.0),
            other("epsilon-1e-5", "epsilon is 1e-5", |c| c.epsilon = 1e-5),
            other("epsilon-1e-6", "epsilon is 1e-6", |c| c.epsilon = 1e-6),
            other("statistics", "the other norm (RMS against layer)", |c| {
                c.kind = match c.kind {
                    Statistics::Rms => Statistics::Layer,
                    Statistics::Layer => Statistics::Rms,
                };
            }),
            other("unit-offset", "the gain is w for 1 + w, or the other way round", |c| {
                c.unit_offset = !c.unit_offset;
            }),
            other("bias-missing", "the bias is not added", |c| c.bias = false),
            Mutant::new("groups-missing", "statistics are over the whole token, not each group", {
                |inputs, precision| self.ungrouped(inputs, precision)
            }),
            Mutant::new("gain-missing", "no gain", |inputs, precision| {
                let one = if self.unit_offset { 0.0 } else { 1.0 };
                self.eval(&inputs.with("w", vec![one; self.width as usize]), precision)
            }),
            Mutant::new("epsilon-outside", "epsilon is added behind the square root", |i, p| {
                self.scaled(i, p, |c, x| {
                    let square = c.square(x);
                    (square + c.epsilon).sqrt() / (square.sqrt() + c.epsilon)
                })
            }),
            Mutant::new("sum-of-squares", "the sum of squares, not their mean", |inputs, p| {
                self.scaled(inputs, p, |c, x| {
                    let square = c.square(x);
                    ((square + c.epsilon) / (square * x.len() as f64 + c.epsilon)).sqrt()
                })
            }),
            Mutant::new("n-minus-1", "the mean of squares is over n - 1", |inputs, precision| {
                self.scaled(inputs, precision, |c, x| {
                    let (square, n) = (c.square(x), x.len() as f64);
                    ((square + c.epsilon) / (square * n / (n - 1.0).max(1.0) + c.epsilon)).sqrt()
                })
            }),
            Mutant::new(
                "tail-missing",
                "the last elements, short of 32, are left out of the sums",
                {
                    |inputs, precision| {
                        self.scaled(inputs, precision, |c, x| {
                            let (mean, n) = (c.mean(x), x.len() as f64);
                            let read = &x[..x.len() / 32 * 32];
                            let square = read.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
                            ((c.square(x) + c.epsilon) / (square + c.epsilon)).sqrt()
                        })
                    }
                },
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;

    #[test]
    fn bugs_are_told_apart() {
        let case = |kind, epsilon, dtype| NormCase {
            kind,
            tokens: 6,
            width: 75,
            groups: 1,
            epsilon,
            unit_offset: false,
            bias: false,
            dtype,
            seed: 3,
        };
        let cases = [
            case(Statistics::Rms, 1e-6, Dtype::Bf16),
            case(Statistics::Rms, 1e-5, Dtype::Fp32),
            NormCase { unit_offset: true, groups: 3, ..case(Statistics::Rms, 1e-6, Dtype::Fp32) },
            NormCase { bias: true, ..case(Statistics::Layer, 1e-5, Dtype::Bf16) },
            NormCase { tokens: 1, bias: true, ..case(Statistics::Layer, 1e-5, Dtype::Fp32) },
        ];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }
}
