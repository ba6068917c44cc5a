//! Round to nearest: scales from the values alone.

use super::grid::{Affine, Grid, Range};
use super::matrix::{Matrix, Places, Quantized, Sharing};
use crate::op::scalar::Scalar;

/// Rounds every element to the nearest number of its group's grid.
///
/// Scales are those of [`Grid::fit`] over the group; the error of a finite element is at most half a step, where
/// the scale is kept as computed.
pub fn rtn<S: Scalar>(matrix: Matrix<'_, S>, grid: &Grid, sharing: Sharing) -> Quantized<S> {
    let places = sharing.places(matrix.columns());
    let affine = fit(matrix, grid, &places);
    let mut codes = Vec::with_capacity(matrix.values().len());
    let mut values = Vec::with_capacity(matrix.values().len());
    for r in 0..matrix.rows() {
        for (c, x) in matrix.row(r).iter().enumerate() {
            let affine = affine[places.of(r, c)];
            let code = grid.code(affine, x.value());
            codes.push(code);
            let nan = x.value().is_nan();
            values.push(if nan { *x } else { S::constant(grid.value(affine, code)) });
        }
    }
    Quantized { values, codes, affine, places }
}

/// Scales and zero points of all groups.
pub(super) fn fit<S: Scalar>(matrix: Matrix<'_, S>, grid: &Grid, places: &Places) -> Vec<Affine> {
    let empty = Range { min: 0.0, max: 0.0 };
    let mut ranges = vec![empty; places.count(matrix.rows())];
    for r in 0..matrix.rows() {
        for (c, x) in matrix.row(r).iter().enumerate().filter(|(_, x)| x.value().is_finite()) {
            let range = &mut ranges[places.of(r, c)];
            *range = range.with(x.value());
        }
    }
    ranges.into_iter().map(|range| grid.fit(range)).collect()
}
