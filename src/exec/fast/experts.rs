//! Products with the matrix of each row's expert.

use super::{Real, Strided, everyone, product};
use crate::op::scalar::Scalar;
use crate::op::{GroupedMatMul, Operand, Target};
use crate::tensor::Step;
use std::collections::BTreeMap;

/// The rows of each expert together, in one product.
pub(super) fn grouped_matmul<S: Real>(
    op: &GroupedMatMul,
    step: &Step,
    operands: &[Operand<'_, S>],
    out: &mut Target<'_, S>,
) -> bool {
    let (x, routes) = (&operands[0], &operands[1]);
    let (Some(w), Some(y)) = (operands[2].dense(), out.dense()) else { return false };
    let [active, inputs, outputs] = [op.choices.active, op.inputs, op.outputs].map(|n| n as usize);
    let mut rows: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for t in 0..op.choices.tokens().extent(step) as usize {
        for j in 0..active {
            if let Some(place) = op.choices.place(routes, t, j) {
                let from = if op.rows == op.choices.tokens() { t } else { t * active + j };
                rows.entry(place as usize).or_default().push((from, t * active + j));
            }
        }
    }
    for (expert, rows) in rows {
        let gathered: Vec<S> = rows.iter().flat_map(|&(from, _)| x.row(from)).copied().collect();
        let mut made = vec![<S as Scalar>::constant(0.0); rows.len() * outputs];
        let own = &w[expert * outputs * inputs..(expert + 1) * outputs * inputs];
        let own = Strided::new(own, outputs, inputs).view().transpose();
        let gathered = Strided::new(&gathered, rows.len(), inputs).view();
        product((&mut made, outputs), gathered, own, false, everyone());
        for (&(_, to), row) in rows.iter().zip(made.chunks_exact(outputs)) {
            y[to * outputs..(to + 1) * outputs].copy_from_slice(row);
        }
    }
    true
}
