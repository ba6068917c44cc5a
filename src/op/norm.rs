//! RMS norm and layer norm, over the whole row or over each head of it.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError, common_columns};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType, WeightKind};

/// Which statistics are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Root mean square (Zhang and Sennrich, arXiv 1910.07467).
    Rms,
    /// Mean and variance (Ba et al., arXiv 1607.06450).
    Layer,
}

impl NormKind {
    /// Lower-case name, as in YAML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rms => "rms",
            Self::Layer => "layer",
        }
    }
}

/// `y = x / rms(x) * w` or `y = (x - mean) / std(x) * w + b`, over groups of `width` elements.
///
/// Shapes: `x: [M, G W]`, `w: [1, W]`, `b: [1, W]`, `y: [M, G W]`; G is 1 for a whole row and the
/// number of heads for a norm of each head, whose gains may be its own. Work per group: RMS `4 W + 2` vector, layer `6 W + 3`
/// (`W` more with a bias), 1 special; `1 + w` in place of `w` adds `W`.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Which statistics.
    pub kind: NormKind,
    /// Rows (M).
    pub rows: Dim,
    /// Groups per row (G).
    pub groups: u64,
    /// Elements of a group (W).
    pub width: u64,
    /// Added to the mean square or variance.
    pub epsilon: f64,
    /// Whether the gain is `1 + w` (Gemma).
    pub unit_offset: bool,
    /// Whether `b` is the third operand.
    pub bias: bool,
    /// Whether each group has a gain (and bias) of its own: `w: [1, G W]` (Cohere).
    pub own_gain: bool,
}

impl Norm {
    /// Elements of the gain.
    const fn gains(&self) -> u64 {
        if self.own_gain { self.groups * self.width } else { self.width }
    }

    /// The elements of one group, centred for a layer norm, and `1 / sqrt(mean square + epsilon)`.
    fn statistics<S: Scalar>(&self, mut x: Vec<S>) -> (Vec<S>, S) {
        let inverse = S::constant(1.0 / self.width as f64);
        let zero = S::constant(0.0);
        if self.kind == NormKind::Layer {
            let mean = x.iter().fold(zero, |sum, &v| sum + v) * inverse;
            for v in &mut x {
                *v = *v - mean;
            }
        }
        let square = x.iter().fold(zero, |sum, &v| sum + v * v) * inverse;
        (x, (square + S::constant(self.epsilon)).rsqrt())
    }
}

impl Operator for Norm {
    const NAME: &'static str = "norm";
    const FORMULA: &'static str = "RMS: y = x w / sqrt(mean(x^2) + eps); layer: y = (x - mean) w / sqrt(var + eps) + b; per group of W: 4 W + 2 or 6 W + 3 (+ W with b, + W with 1 + w) vector operations, 1 special";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(self.rows, self.groups * self.width);
        let expected = [
            ("x", x),
            ("w", TensorType::weight(WeightKind::Norm, 1, self.gains())),
            ("b", TensorType::weight(WeightKind::Bias, 1, self.gains())),
        ];
        check(Self::NAME, operands, &expected[..2 + usize::from(self.bias)])?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let groups = self.rows.extent(step) * self.groups as f64;
        let w = self.width as f64;
        let statistics = match self.kind {
            NormKind::Rms => 4.0 * w + 2.0,
            NormKind::Layer => 6.0 * w + 3.0,
        };
        let offset = if self.unit_offset { w } else { 0.0 };
        let bias = if self.bias { w } else { 0.0 };
        let gains = self.gains() as f64;
        Work {
            vector: groups * (statistics + offset + bias),
            special: groups,
            reads: [groups * w, gains, if self.bias { gains } else { 0.0 }],
            writes: groups * w,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let width = self.width as usize;
        for m in 0..self.rows.extent(step) as usize {
            for first in (0..self.groups as usize).map(|g| g * width) {
                S::on(Engine::Vector, || {
                    let x = (0..width).map(|i| operands[0].at(m, first + i)).collect();
                    let (x, scale) = self.statistics(x);
                    let own = if self.own_gain { first } else { 0 };
                    for (i, v) in x.into_iter().enumerate() {
                        let gain = operands[1].at(0, own + i);
                        let gain = if self.unit_offset { S::constant(1.0) + gain } else { gain };
                        let y = v * scale * gain;
                        let y = if self.bias { y + operands[2].at(0, own + i) } else { y };
                        out.set(m, first + i, y);
                    }
                });
            }
        }
    }

    /// A norm of each head runs on the heads of the rank; one of the whole row needs all of it.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        if self.groups == 1 && self.rows == Dim::Tokens && place.shares(operands[0]) {
            let op = Self { rows: Dim::Share(place.rank.of), ..self.clone() };
            let mut split = Split::alike(op, operands.len(), Layout::Tokens);
            split.operands[1..].fill(Layout::Whole);
            return Ok(split);
        }
        let layout = match self.groups {
            1 => Layout::Whole,
            _ => common_columns(&operands[..1]),
        };
        let groups = self.groups / layout.column_parts();
        let mut split = Split::alike(Self { groups, ..self.clone() }, operands.len(), layout);
        if !self.own_gain {
            split.operands[1..].fill(Layout::Whole);
        }
        Ok(split)
    }

    fn groups(&self, _: usize) -> Option<u64> {
        Some(self.groups)
    }
}
