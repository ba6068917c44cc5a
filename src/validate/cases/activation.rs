//! Cases of activation functions, gated or not.

use super::dtype::Dtype;
use super::evaluate::{of, rounded, run, values};
use super::random::Random;
use crate::op::scalar::Scalar;
use crate::op::{Activate, Activation, Gate};
use crate::tensor::{Dim, Step};
use crate::validate::case::sizes;
use crate::validate::{
    Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// An activation function of every element, or of the gate of a gated linear unit.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationCase {
    /// Tokens
    #[arg(long, default_value = "37")]
    pub tokens: u64,
    /// Elements of a token's result
    #[arg(long, default_value = "200")]
    pub width: u64,
    /// The function
    #[arg(long, value_enum, default_value_t)]
    pub function: Function,
    /// The result is the function of the element, not the function of a gate times the element
    #[arg(long)]
    #[serde(default)]
    pub plain: bool,
    /// Format of input and output
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// x / (1 + exp(-x)); gated, SwiGLU
    #[default]
    Silu,
    /// x / (1 + exp(-1.702 x))
    GeluSigmoid,
    /// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
    GeluTanh,
    /// x/2 (1 + erf(x / sqrt 2))
    GeluErf,
    /// max(x, 0)
    Relu,
}

impl Function {
    const fn activation(self) -> Activation {
        match self {
            Self::Silu => Activation::Silu,
            Self::GeluSigmoid => Activation::GeluSigmoid,
            Self::GeluTanh => Activation::GeluTanh,
            Self::GeluErf => Activation::GeluErf,
            Self::Relu => Activation::Relu,
        }
    }
}

/// What a kernel does with the halves of a gated row.
#[derive(Clone, Copy)]
enum Halves {
    Right,
    Swapped,
    Interleaved,
    Unmultiplied,
}

impl ActivationCase {
    fn layout(&self, name: &str, says: &'static str, width: u64) -> Layout {
        Layout::new(name, says, [("token", self.tokens), ("element", width)], self.dtype.stored())
    }

    fn evaluated<S: Scalar>(
        &self,
        inputs: &Inputs,
        halves: Halves,
        format: Option<Stored>,
    ) -> Vec<f64> {
        let step = Step::prefill(1, self.tokens).expect("invariant: a checked case has a step");
        let (width, tokens) = (self.width as usize, self.tokens as usize);
        let (x, function) = (of::<S>(inputs.of("x")), self.function.activation());
        let plain = Activate::new(Dim::Tokens, self.width, function);
        if self.plain {
            let out = run(&plain, &step, &[(&x, width)], (tokens, width));
            return values(&rounded(format, out));
        }
        let part = |first: usize, apart: usize| -> Vec<S> {
            let rows = x.chunks_exact(2 * width);
            rows.flat_map(|row| row.iter().skip(first).step_by(apart).take(width).copied())
                .collect()
        };
        let (gate, up) = match halves {
            Halves::Right | Halves::Unmultiplied => (part(0, 1), part(width, 1)),
            Halves::Swapped => (part(width, 1), part(0, 1)),
            Halves::Interleaved => (part(0, 2), part(1, 2)),
        };
        let gated =
            Gate { rows: Dim::Tokens, width: self.width, function, limit: None, choices: None };
        let out = match halves {
            Halves::Unmultiplied => run(&plain, &step, &[(&gate, width)], (tokens, width)),
            _ => run(&gated, &step, &[(&gate, width), (&up, width)], (tokens, width)),
        };
        values(&rounded(format, out))
    }

    fn with_halves(&self, inputs: &Inputs, halves: Halves, precision: Precision) -> Outputs {
        vec![match precision {
            Precision::Exact => self.evaluated::<f64>(inputs, halves, None),
            Precision::Kernel => self.evaluated::<f32>(inputs, halves, Some(self.dtype.stored())),
        }]
    }

    fn input_width(&self) -> u64 {
        if self.plain { self.width } else { 2 * self.width }
    }
}

impl Case for ActivationCase {
    fn check(&self) -> Result<(), CaseError> {
        sizes(&[("tokens", self.tokens), ("width", self.width)], (self.tokens * self.width) as f64)
    }

    fn title(&self) -> String {
        let name = self.function.activation().name();
        let gated = if self.plain { "" } else { ", gated" };
        format!("activation {name}{gated}, {} x {}, {}", self.tokens, self.width, self.dtype)
    }

    fn conventions(&self) -> Vec<String> {
        let mut lines = match self.plain {
            true => vec!["The result is f(x).".to_owned()],
            false => vec![format!(
                "The first {} elements of a token are the gate, the others what it is multiplied with: \
                 the result is f(gate) * up.",
                self.width
            )],
        };
        let value = self.function.to_possible_value().and_then(|v| v.get_help().cloned());
        lines.extend(value.map(|help| format!("f(x) is {help}.")));
        lines
    }

    fn inputs(&self) -> Inputs {
        let layout = self.layout("x", "the input", self.input_width());
        Inputs(vec![Random::new(self.seed).scaled(layout, 0.0, 2.0)])
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output { layout: self.layout("out", "the result", self.width), discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.with_halves(inputs, Halves::Right, precision)
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        const FUNCTIONS: [(&str, &str, Function); 5] = [
            ("silu", "the function is SiLU", Function::Silu),
            ("gelu-sigmoid", "the function is GELU in its sigmoid form", Function::GeluSigmoid),
            ("gelu-tanh", "the function is GELU in its tanh form", Function::GeluTanh),
            ("gelu-erf", "the function is GELU by erf", Function::GeluErf),
            ("relu", "the function is ReLU", Function::Relu),
        ];
        let mut mutants: Vec<Mutant<'_>> = FUNCTIONS
            .into_iter()
            .map(|(name, says, function)| {
                Mutant::changed(self, name, says, |c| c.function = function)
            })
            .collect();
        const HALVES: [(&str, &str, Halves); 3] = [
            ("halves-swapped", "gate and up are swapped", Halves::Swapped),
            (
                "halves-interleaved",
                "gate and up are read as pairs, not as halves",
                Halves::Interleaved,
            ),
            ("up-missing", "the gate is not multiplied with up", Halves::Unmultiplied),
        ];
        mutants.extend(HALVES.map(|(name, says, halves)| {
            Mutant::new(name, says, move |i: &Inputs, p| self.with_halves(i, halves, p))
        }));
        mutants.push(Mutant::new(
            "function-missing",
            "the function is not applied",
            |inputs, _| {
                let x = inputs.of("x");
                let row = |row: &[f64]| -> Vec<f64> {
                    let (gate, up) = row.split_at(self.width as usize);
                    let product = |(i, g): (usize, &f64)| g * up.get(i).unwrap_or(&1.0);
                    gate.iter().enumerate().map(product).collect()
                };
                vec![x.chunks_exact(self.input_width() as usize).flat_map(row).collect()]
            },
        ));
        mutants.push(Mutant::new(
            "multiplier-missing",
            "the sigmoid or the like, without its x",
            {
                |inputs, precision| {
                    // f(x) / x is what x is multiplied with.
                    let out = self.eval(inputs, precision);
                    let x = inputs.of("x").chunks_exact(self.input_width() as usize);
                    let gates = x.flat_map(|row| &row[..self.width as usize]);
                    let divided = |(o, g): (&f64, &f64)| if *g == 0.0 { 0.0 } else { o / g };
                    vec![out[0].iter().zip(gates).map(divided).collect()]
                }
            },
        ));
        mutants
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;

    #[test]
    fn bugs_are_told_apart() {
        let case = |function, plain, dtype| ActivationCase {
            tokens: 7,
            width: 65,
            function,
            plain,
            dtype,
            seed: 3,
        };
        let cases = [
            case(Function::Silu, false, Dtype::Bf16),
            case(Function::GeluTanh, false, Dtype::Fp32),
            case(Function::GeluErf, true, Dtype::Fp32),
            case(Function::Relu, true, Dtype::Fp16),
            ActivationCase { tokens: 1, ..case(Function::GeluSigmoid, false, Dtype::Fp16) },
        ];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }
}
