//! Products of each head with a matrix of its own.

use super::{Real, Strided, everyone, product};
use crate::op::{Fold, HeadMatMul, Operand, Target};
use crate::tensor::Step;

/// What passes is copied; the rest of each head is multiplied.
pub(super) fn head_matmul<S: Real>(
    op: &HeadMatMul,
    step: &Step,
    operands: &[Operand<'_, S>],
    out: &mut Target<'_, S>,
) -> bool {
    let (Some(x), Some(w), Some(y)) = (operands[0].dense(), operands[1].dense(), out.dense())
    else {
        return false;
    };
    let [heads, passed, dim, latent] =
        [op.heads, op.passed, op.head_dim, op.latent].map(|n| n as usize);
    let (before, behind) = match op.fold {
        Fold::Into => (dim, latent),
        Fold::OutOf => (latent, dim),
    };
    let rows = step.tokens() as usize;
    let (from, to) = (heads * (passed + before), heads * (passed + behind));
    for h in 0..heads {
        let (left, right) = (h * (passed + before), h * (passed + behind));
        for t in 0..rows {
            let kept = &x[t * from + left..t * from + left + passed];
            y[t * to + right..t * to + right + passed].copy_from_slice(kept);
        }
        let own = Strided::new(&w[h * dim * latent..(h + 1) * dim * latent], dim, latent).view();
        let own = if op.fold == Fold::Into { own } else { own.transpose() };
        let data = &x[(left + passed).min(x.len())..];
        let x = Strided { data, rows, columns: before, stride: from }.view();
        product((&mut y[right + passed..], to), x, own, false, everyone());
    }
    true
}
