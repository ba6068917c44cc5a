//! Zeros where a sparse storage keeps nothing.

use super::matrix::Matrix;
use crate::dtype::Sparsity;
use crate::op::scalar::Scalar;

/// The weight with all but its largest magnitudes set to 0: the two largest of every four neighbours of a row
/// (Mishra et al., arXiv 2104.08378), or the largest share of the whole matrix; the first of equal ones (A102).
pub(super) fn pruned<S: Scalar>(weight: Matrix<'_, S>, kept: Sparsity) -> Vec<S> {
    let mut values = weight.values().to_vec();
    match kept {
        Sparsity::TwoOfFour => {
            for row in values.chunks_mut(weight.columns().max(1)) {
                row.chunks_mut(4).for_each(|four| keep(four, 2));
            }
        }
        Sparsity::Density(_) => {
            let kept = (values.len() as f64 * kept.density()).ceil() as usize;
            keep(&mut values, kept);
        }
    }
    values
}

/// Sets all but the `kept` largest magnitudes to 0; NaN is larger than any.
fn keep<S: Scalar>(values: &mut [S], kept: usize) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].value().abs().total_cmp(&values[a].value().abs()));
    for &i in order.iter().skip(kept) {
        values[i] = S::constant(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept() {
        let w = [1.0, -3.0, 2.0, 2.0, 0.5, f64::NAN, f64::INFINITY, 9.0, 1.0];
        let two = pruned(Matrix::new(&w, 9), Sparsity::TwoOfFour);
        assert_eq!(two[..5], [0.0, -3.0, 2.0, 0.0, 0.0]);
        assert!(two[5].is_nan() && two[6] == f64::INFINITY && two[7..] == [0.0, 1.0]);
        let third = pruned(Matrix::new(&w[..4], 2), Sparsity::Density(300_000));
        assert_eq!(third, [0.0, -3.0, 2.0, 0.0]);
    }
}
