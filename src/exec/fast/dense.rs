//! Products with one weight matrix.

use super::{Real, Strided, everyone, product};
use crate::op::scalar::Scalar;
use crate::op::{Conv1d, Expand, MatMul, Operand, Target};
use crate::tensor::Step;

/// `y = x w^T + b`.
pub(super) fn matmul<S: Real>(
    op: &MatMul,
    step: &Step,
    operands: &[Operand<'_, S>],
    out: &mut Target<'_, S>,
) -> bool {
    let rows = op.rows.extent(step) as usize;
    let bias = op.bias.then(|| operands[2].row(0));
    project(&operands[0], &operands[1], bias, (rows, op.inputs, op.outputs), out)
}

/// The same over all rows of the cache.
pub(super) fn expand<S: Real>(
    op: &Expand,
    step: &Step,
    operands: &[Operand<'_, S>],
    out: &mut Target<'_, S>,
) -> bool {
    let shape = (step.context() as usize, op.latent, op.outputs);
    project(&operands[0], &operands[1], None, shape, out)
}

fn project<S: Real>(
    x: &Operand<'_, S>,
    w: &Operand<'_, S>,
    bias: Option<&[S]>,
    (rows, inputs, outputs): (usize, u64, u64),
    out: &mut Target<'_, S>,
) -> bool {
    let (Some(x), Some(w), Some(y)) = (x.dense(), w.dense(), out.dense()) else { return false };
    let (inputs, outputs) = (inputs as usize, outputs as usize);
    if let Some(bias) = bias {
        y.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(bias));
    }
    let x = Strided::new(x, rows, inputs).view();
    let w = Strided::new(w, outputs, inputs).view().transpose();
    product((y, outputs), x, w, bias.is_some(), everyone());
    true
}

/// The rows that a tap sees, side by side, times the kernel.
pub(super) fn conv1d<S: Real>(
    op: &Conv1d,
    step: &Step,
    operands: &[Operand<'_, S>],
    out: &mut Target<'_, S>,
) -> bool {
    let (Some(w), Some(y)) = (operands[1].dense(), out.dense()) else { return false };
    let [per_token, inputs, outputs, kernel, stride] =
        [op.per_token, op.inputs, op.outputs, op.kernel, op.stride].map(|n| n as usize);
    let zero = <S as Scalar>::constant(0.0);
    let rows = step.tokens() as usize * per_token;
    let mut seen = vec![zero; rows * kernel * inputs];
    let mut taps = seen.chunks_exact_mut(inputs);
    for s in step.sequences() {
        let (first, rows) = (s.first_token * per_token, s.new * per_token);
        for t in 0..rows {
            for j in 0..kernel {
                let row = (t * stride + j).checked_sub(kernel / 2).filter(|r| *r < rows * stride);
                let tap = taps.next().expect("invariant: a tap for each row");
                if let Some(row) = row {
                    tap.copy_from_slice(operands[0].row(first * stride + row));
                }
            }
        }
    }
    y.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(operands[2].row(0)));
    let seen = Strided::new(&seen, rows, kernel * inputs).view();
    let w = Strided::new(w, outputs, kernel * inputs).view().transpose();
    product((y, outputs), seen, w, true, everyone());
    true
}
