//! Element-wise activation functions.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, elementwise, share};
use super::{Choices, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// An activation function; to add one, add a variant, its value and its cost here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x / (1 + exp(-1.702 x))`, the sigmoid form of GELU (Hendrycks and Gimpel, arXiv 1606.08415;
    /// gpt-oss).
    GeluSigmoid,
    /// `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `x/2 (1 + erf(x / sqrt 2))`.
    GeluErf,
    /// `max(x, 0)`.
    Relu,
    /// `c tanh(x / c)`, the soft cap on Gemma 2's logits.
    SoftCap(f64),
    /// `c x`, the factor on T5's hidden state before a tied head.
    Scale(f64),
}

impl Activation {
    /// Lower-case name, as in YAML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::GeluSigmoid => "gelu-sigmoid",
            Self::GeluTanh => "gelu-tanh",
            Self::GeluErf => "gelu-erf",
            Self::Relu => "relu",
            Self::SoftCap(_) => "softcap",
            Self::Scale(_) => "scale",
        }
    }

    /// The value at `x`.
    pub fn apply<S: Scalar>(self, x: S) -> S {
        let c = S::constant;
        match self {
            Self::Silu => x * (c(1.0) / (c(1.0) + (-x).exp())),
            Self::GeluSigmoid => x * (c(1.0) / (c(1.0) + (-(x * c(1.702))).exp())),
            Self::GeluTanh => {
                let inner = (x + x * x * x * c(0.044_715)) * c(FRAC_2_PI.sqrt());
                x * c(0.5) * (c(1.0) + inner.tanh())
            }
            Self::GeluErf => x * c(0.5) * (c(1.0) + (x * c(FRAC_1_SQRT_2)).erf()),
            Self::Relu => x.maximum(c(0.0)),
            Self::Scale(factor) => x * c(factor),
            Self::SoftCap(cap) => (x * c(1.0 / cap)).tanh() * c(cap),
        }
    }

    /// Vector and special operations per element.
    pub const fn operations(self) -> (f64, f64) {
        match self {
            Self::Silu => (2.0, 2.0),
            Self::GeluSigmoid => (3.0, 2.0),
            Self::GeluTanh => (8.0, 1.0),
            Self::GeluErf => (4.0, 1.0),
            Self::Relu => (0.0, 0.0),
            Self::SoftCap(_) => (2.0, 1.0),
            Self::Scale(_) => (1.0, 0.0),
        }
    }
}

/// `y = f(x)` element by element.
///
/// Shapes: `x, y: [M, W]`. Work per element: SiLU 2 vector and 2 special, GELU (sigmoid) 3 and 2, (tanh) 8 and 1,
/// GELU (erf) 4 and 1, ReLU none, soft cap 2 and 1, scale 1 and 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Activate {
    /// Rows (M).
    pub rows: Dim,
    /// Elements per row (W).
    pub width: u64,
    /// The function.
    pub function: Activation,
    /// The choices whose rows are computed, where they are not all; `routes` is then the last operand.
    pub choices: Option<Choices>,
}

impl Activate {
    /// The function on every row.
    pub const fn new(rows: Dim, width: u64, function: Activation) -> Self {
        Self { rows, width, function, choices: None }
    }
}

impl Operator for Activate {
    const NAME: &'static str = "activation";
    const FORMULA: &'static str = "y = f(x) element by element; operations per element by function";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(self.rows, self.width);
        let routes = self.choices.as_ref().map(|c| ("routes", c.routes()));
        let expected: Vec<_> = [("x", x)].into_iter().chain(routes).collect();
        check(Self::NAME, operands, &expected)?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let (rows, numbers) = Choices::filled(self.choices.as_ref(), self.rows, step);
        let elements = rows * self.width as f64;
        let (vector, special) = self.function.operations();
        Work {
            vector: vector * elements,
            special: special * elements,
            reads: [elements, numbers, 0.0],
            writes: elements,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for m in Choices::computed_rows(self.choices.as_ref(), self.rows, step, operands) {
            for i in 0..self.width as usize {
                let x = operands[0].at(m, i);
                out.set(m, i, S::on(Engine::Vector, || self.function.apply(x)));
            }
        }
    }

    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let (layout, choices) = elementwise(place, &operands[..1], self.choices.as_ref());
        let width = share(self.width, layout.column_parts());
        let op = Self { width, choices, ..self.clone() };
        Ok(Split::rows(op, (1, operands.len()), layout))
    }

    fn groups(&self, _: usize) -> Option<u64> {
        None
    }
}
