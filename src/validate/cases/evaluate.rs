//! One operator on plain slices.

use crate::op::scalar::Scalar;
use crate::op::{Operand, Operator, Target};
use crate::tensor::Step;
use crate::validate::{Inputs, Outputs, Precision, Stored};

/// A case with one output that the graph's operators give.
pub(super) trait Evaluated {
    /// Format of the output.
    fn format(&self) -> Stored;
    /// The operators on some inputs, rounded where the kernel rounds, if there is a format to round to.
    fn evaluated<S: Scalar>(&self, inputs: &Inputs, format: Option<Stored>) -> Vec<f64>;
    /// The output in a precision.
    fn in_precision(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        vec![match precision {
            Precision::Exact => self.evaluated::<f64>(inputs, None),
            Precision::Kernel => self.evaluated::<f32>(inputs, Some(self.format())),
        }]
    }
}

/// Numbers as scalars.
pub(super) fn of<S: Scalar>(values: &[f64]) -> Vec<S> {
    values.iter().map(|&x| S::constant(x)).collect()
}

/// Scalars rounded to a format, where there is one.
pub(super) fn rounded<S: Scalar>(format: Option<Stored>, values: Vec<S>) -> Vec<S> {
    match format {
        Some(format) => values.into_iter().map(|x| S::constant(format.round(x.value()))).collect(),
        None => values,
    }
}

/// Their values.
pub(super) fn values<S: Scalar>(values: &[S]) -> Vec<f64> {
    values.iter().map(|x| x.value()).collect()
}

/// Result of an operator, `rows x width`, from operands of some width each.
pub(super) fn run<S: Scalar>(
    op: &impl Operator,
    step: &Step,
    operands: &[(&[S], usize)],
    (rows, width): (usize, usize),
) -> Vec<S> {
    let mut out = vec![S::constant(0.0); rows * width];
    let operands: Vec<_> =
        operands.iter().map(|&(data, width)| Operand::new(data, width)).collect();
    op.eval(step, &operands, &mut Target::new(&mut out, width));
    out
}
