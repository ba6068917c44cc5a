//! GPTQ: columns are rounded one after the other, and what is left of a row makes up for the error.

use super::QuantizeError;
use super::grid::{Affine, Grid, Range};
use super::matrix::{Matrix, Places, Quantized, Sharing};
use super::rtn;
use crate::op::scalar::Scalar;
use crate::par;
use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};

/// Rows that pass over the inverse Hessian together.
const TILE: usize = 16;

/// How GPTQ runs (Frantar et al., arXiv 2210.17323, algorithm 1, and the authors' code).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gptq {
    /// Share of the Hessian's mean diagonal that is added to it (`percdamp`).
    pub damping: f64,
    /// Columns (B) between updates of what lies behind them: the scale of a group is found from weights as they
    /// were at the start of its block.
    pub block: usize,
    /// Columns in falling order of their Hessian's diagonal.
    pub act_order: bool,
    /// Groups are neighbours in the matrix and their scales those of its weights, whatever the order; else
    /// groups are neighbours in the order that columns are rounded in.
    pub static_groups: bool,
}

impl Default for Gptq {
    /// 1 % damping, blocks of 128, columns as they come.
    fn default() -> Self {
        Self { damping: 0.01, block: 128, act_order: false, static_groups: false }
    }
}

/// Quantizes `w: [N, K]` so that `tr(dW H dW^T)` stays small, with `H: [K, K]` the Hessian of the outputs'
/// error, [`super::Calibration::hessian`] for instance; its scale does not matter.
///
/// A channel that is always zero (`H[j, j] = 0`) gets weight 0. Elements that are not finite are rounded as by
/// [`super::rtn`] and pass no error on.
///
/// # Errors
/// A Hessian of another size, or one that is not positive definite with ten thousand times the damping.
pub fn gptq<S: Scalar>(
    w: Matrix<'_, S>,
    hessian: &[f64],
    grid: &Grid,
    sharing: Sharing,
    options: &Gptq,
) -> Result<Quantized<S>, QuantizeError> {
    let columns = w.columns();
    if hessian.len() != columns * columns {
        let (expected, found) = (columns, hessian.len().isqrt());
        return Err(QuantizeError::Channels { expected, found });
    }
    let diagonal = |j: usize| hessian[j * columns + j];
    let mut order: Vec<usize> = (0..columns).collect();
    if options.act_order {
        order.sort_by(|&a, &b| diagonal(b).total_cmp(&diagonal(a)));
    }
    let inverse = inverse_factor(hessian, &order, options.damping)?;
    let static_groups = options.static_groups || sharing.spans_rows();
    let places = if options.act_order && !static_groups {
        let along = sharing.along(columns);
        let mut index = vec![0; columns];
        order.iter().enumerate().for_each(|(i, &c)| index[c] = (i / along) as u32);
        Places { per_row: columns.div_ceil(along), index }
    } else {
        sharing.places(columns)
    };
    // A row that is one group has the scale of its weights before dead channels are emptied.
    let whole = places.index.iter().all(|&g| g == 0);
    let known = (static_groups || whole).then(|| rtn::fit(w, grid, &places));
    let dead: Vec<bool> = (0..columns).map(|j| diagonal(j) == 0.0).collect();
    let block = options.block.max(1);
    let run = Run { w: w.to_f64(), inverse, order, dead, grid, places, known, block };
    let rounded = run.finish(w.rows());
    let values = rounded.values.iter().map(|x| S::constant(*x)).collect();
    let Quantized { codes, affine, places, .. } = rounded;
    Ok(Quantized { values, codes, affine, places })
}

/// Everything that the rows of a matrix have in common.
struct Run<'a> {
    w: Vec<f64>,
    /// Upper factor `U` of the inverse Hessian, `U^T U`, row-major, in the order of columns.
    inverse: Vec<f64>,
    order: Vec<usize>,
    dead: Vec<bool>,
    grid: &'a Grid,
    places: Places,
    known: Option<Vec<Affine>>,
    block: usize,
}

/// A row on its way.
struct Row {
    /// Weights with all errors so far made up for, in the order of columns.
    weights: Vec<f64>,
    /// The same at the start of the block.
    before: Vec<f64>,
    /// Scale of the group that is rounded.
    affine: Affine,
    /// What rounding the last column left.
    error: f64,
    /// Codes and values, as columns lie.
    codes: Vec<i16>,
    values: Vec<f64>,
    /// Scales that were found, with their places.
    found: Vec<(usize, Affine)>,
}

impl Run<'_> {
    fn finish(self, rows: usize) -> Quantized<f64> {
        let empty = Affine { scale: 1.0, zero: 0.0 };
        let affine = self.known.clone();
        let affine = affine.unwrap_or_else(|| vec![empty; self.places.count(rows)]);
        let (codes, values, places) = (vec![], vec![], self.places.clone());
        let mut out = Quantized { values, codes, affine, places };
        let tiles: Vec<usize> = (0..rows).step_by(TILE).collect();
        let made = par::map(&tiles, |&first| self.tile(first..(first + TILE).min(rows)));
        for row in made.into_iter().flatten() {
            out.codes.extend(row.codes);
            out.values.extend(row.values);
            row.found.iter().for_each(|(place, affine)| out.affine[*place] = *affine);
        }
        out
    }

    /// Rounds some rows, column by column.
    fn tile(&self, rows: std::ops::Range<usize>) -> Vec<Row> {
        let columns = self.order.len();
        let mut tile: Vec<Row> = rows.clone().map(|r| self.start(r)).collect();
        for i in 0..columns {
            let factor = &self.inverse[i * columns..(i + 1) * columns];
            for (r, row) in rows.clone().zip(&mut tile) {
                if i.is_multiple_of(self.block) {
                    row.before[i..].copy_from_slice(&row.weights[i..]);
                }
                self.round(r, i, row);
                row.error /= factor[i];
                if row.error != 0.0 {
                    let behind = row.weights[i + 1..].iter_mut().zip(&factor[i + 1..]);
                    behind.for_each(|(w, u)| *w -= row.error * u);
                }
            }
        }
        tile
    }

    fn start(&self, r: usize) -> Row {
        let columns = self.order.len();
        let weight = |&c: &usize| if self.dead[c] { 0.0 } else { self.w[r * columns + c] };
        let weights: Vec<f64> = self.order.iter().map(weight).collect();
        let (affine, found) = (Affine { scale: 1.0, zero: 0.0 }, vec![]);
        let (codes, values) = (vec![0; columns], vec![0.0; columns]);
        Row { before: weights.clone(), weights, affine, error: 0.0, codes, values, found }
    }

    /// Rounds the `i`-th column of a row, and leaves what was lost.
    fn round(&self, r: usize, i: usize, row: &mut Row) {
        let column = self.order[i];
        let place = self.places.of(r, column);
        let group = |i: usize| self.places.index[self.order[i]];
        if let Some(known) = &self.known {
            row.affine = known[place];
        } else if i == 0 || group(i) != group(i - 1) {
            let members = (i..self.order.len()).take_while(|&j| group(j) == group(i));
            row.affine = self.grid.fit(Range::of(members.map(|j| row.before[j])));
            row.found.push((place, row.affine));
        }
        // Where making up for errors overflowed, the weight as it was.
        let made_up = row.weights[i];
        let x = if made_up.is_finite() { made_up } else { self.w[r * self.order.len() + column] };
        let code = self.grid.code(row.affine, x);
        let value = self.grid.value(row.affine, code);
        row.codes[column] = code;
        row.values[column] = if x.is_nan() { x } else { value };
        row.error = if x.is_finite() { x - value } else { 0.0 };
    }
}

/// The upper Cholesky factor of the inverse of the damped Hessian, its rows and columns in that order.
fn inverse_factor(
    hessian: &[f64],
    order: &[usize],
    damping: f64,
) -> Result<Vec<f64>, QuantizeError> {
    let n = order.len();
    let at = |i: usize, j: usize| hessian[order[i] * n + order[j]];
    let alive = |i: usize| if at(i, i) == 0.0 { 1.0 } else { at(i, i) };
    let mean = (0..n).map(alive).sum::<f64>() / n.max(1) as f64;
    if !mean.is_finite() {
        return Err(QuantizeError::Hessian);
    }
    for step in 0..5 {
        let added = damping * 10f64.powi(step) * mean;
        let damped = Mat::from_fn(n, n, |i, j| if i == j { alive(i) + added } else { at(i, j) });
        let Ok(factor) = damped.llt(Side::Lower) else { continue };
        let Ok(factor) = factor.inverse().llt(Side::Lower) else { continue };
        let l = factor.L();
        let upper: Vec<f64> =
            (0..n * n).map(|k| if k % n >= k / n { l[(k % n, k / n)] } else { 0.0 }).collect();
        let whole = (0..n).all(|i| upper[i * n + i] > 0.0) && upper.iter().all(|u| u.is_finite());
        if whole {
            return Ok(upper);
        }
    }
    Err(QuantizeError::Hessian)
}
