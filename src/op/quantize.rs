//! Quantization with scales that are found as the values come.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, elementwise, share};
use super::{Choices, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType};

/// `q = x / s` and back, `s` the largest magnitude of each group of `G` elements of a row.
///
/// Dynamic quantization of activations: a scale per token where `G` is the row (SmoothQuant's O1 and
/// O2, Xiao et al., arXiv 2211.10438), per block where it is less (OCP Microscaling). Rounding is a
/// matter of formats, which an operator does not know: without it the result is `x`, up to the last
/// bit.
///
/// Shapes: `x, y: [M, W]`. Work: 2 vector operations per element, scaling and, in the place of
/// rounding, scaling back; 1 special per group, the scale's inverse. Comparisons are free.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantize {
    /// Rows (M).
    pub rows: Dim,
    /// Elements per row (W).
    pub width: u64,
    /// Neighbours of a row that share a scale (G); the last group may be shorter.
    pub group: u64,
    /// The choices whose rows are computed, where they are not all; `routes` is then the last operand.
    pub choices: Option<Choices>,
}

impl Quantize {
    /// Whether a group is shorter than a row, so that a tile of columns finds its own scales.
    pub const fn is_blockwise(&self) -> bool {
        self.group < self.width
    }
}

impl Operator for Quantize {
    const NAME: &'static str = "quantize";
    const FORMULA: &'static str = "q = x / s and back, s = max |x| of each group of G; 2 vector operations per element, 1 special per group";

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
        Work {
            vector: 2.0 * elements,
            special: rows * self.width.div_ceil(self.group) as f64,
            reads: [elements, numbers, 0.0],
            writes: elements,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        // A group of zeros has a scale too.
        let least = S::constant(f64::from(f32::MIN_POSITIVE));
        for m in Choices::computed_rows(self.choices.as_ref(), self.rows, step, operands) {
            for first in (0..self.width).step_by(self.group as usize) {
                let group = first as usize..(first + self.group).min(self.width) as usize;
                S::on(Engine::Vector, || {
                    let x = |i: usize| operands[0].at(m, i);
                    let scale = group.clone().fold(least, |s, i| s.maximum(x(i)).maximum(-x(i)));
                    let inverse = S::constant(1.0) / scale;
                    for i in group {
                        out.set(m, i, x(i) * inverse * scale);
                    }
                });
            }
        }
    }

    /// A rank that holds columns finds the scales of what it holds.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let (layout, choices) = elementwise(place, &operands[..1], self.choices.as_ref());
        let width = share(self.width, layout.column_parts());
        let group = self.group.min(width);
        let op = Self { width, group, choices, ..self.clone() };
        Ok(Split::rows(op, (1, operands.len()), layout))
    }

    fn groups(&self, _: usize) -> Option<u64> {
        None
    }
}
