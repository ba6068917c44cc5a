//! Any storage of a scheme: the values that a weight becomes.

use super::awq::{Awq, awq_scales, clip};
use super::calibration::Calibration;
use super::gptq::{Gptq, gptq};
use super::grid::{Affine, Grid};
use super::matrix::{Matrix, Ragged, Sharing};
use super::rtn::{self, rtn};
use super::{QuantizeError, blocks, sparse};
use crate::codec::{Number, Overflow};
use crate::dtype::{Format, Packing, Scaled, Storage};
use crate::op::scalar::Scalar;

/// How the codes of a weight are found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Each element to its nearest.
    Nearest,
    /// Column by column; needs a calibration.
    Gptq(Gptq),
    /// With channels scaled by their activations, and clipped ranges; needs a calibration.
    Awq(Awq),
}

impl Method {
    /// The method that a storage is named after: GPTQ and AWQ by their packings, else nearest.
    pub fn of(storage: &Storage) -> Self {
        match storage {
            Storage::Scaled(Scaled { packing: Packing::Gptq { act_order }, .. }) => {
                Self::Gptq(Gptq { act_order: *act_order, ..Gptq::default() })
            }
            Storage::Scaled(Scaled { packing: Packing::Awq, .. }) => Self::Awq(Awq::default()),
            _ => Self::Nearest,
        }
    }

    /// Whether it needs to know the inputs of a weight.
    pub const fn needs_calibration(&self) -> bool {
        !matches!(self, Self::Nearest)
    }
}

/// The values that an executor uses for a weight `[outputs, inputs]` under a storage.
///
/// Plain formats round; scaled ones follow A100; blocks go through [`crate::codec`]; sparse ones drop the
/// smallest magnitudes first (A102). GPTQ and AWQ apply to storages with scales; other storages are rounded to
/// nearest under any method. AWQ gives `round(w s) / s`, which is what folding `s` into the graph computes.
///
/// # Errors
/// GPTQ or AWQ without a calibration, a calibration of another number of inputs, a Hessian without a factor.
pub fn matrix<S: Scalar>(
    storage: &Storage,
    weight: Matrix<'_, S>,
    calibration: Option<&Calibration>,
    method: &Method,
    ragged: Ragged,
) -> Result<Vec<S>, QuantizeError> {
    let Storage::Scaled(scaled) = storage else { return nearest(storage, weight, ragged) };
    if !method.needs_calibration() {
        return nearest(storage, weight, ragged);
    }
    let known = calibration.ok_or(QuantizeError::NoCalibration)?;
    let (expected, found) = (weight.columns(), known.columns());
    if expected != found {
        return Err(QuantizeError::Channels { expected, found });
    }
    let (grid, sharing) = (Grid::of(scaled), Sharing { group: scaled.group, ragged });
    match method {
        Method::Nearest => nearest(storage, weight, ragged),
        Method::Gptq(options) => {
            Ok(gptq(weight, &known.hessian(), &grid, sharing, options)?.values)
        }
        Method::Awq(options) => {
            let round = |w: Matrix<'_, f64>| rtn(w, &grid, sharing).values;
            let scales = awq_scales(&[weight], known, options, &|_| {}, &round);
            let each = || scales.iter().cycle();
            let scaled = weight.values().iter().zip(each()).map(|(w, s)| w.value() * s);
            let scaled: Vec<f64> = scaled.collect();
            let scaled = Matrix::new(&scaled, weight.columns());
            let rounded = clipped(scaled, &known.divided(&scales), (&grid, sharing), options);
            Ok(rounded.iter().zip(each()).map(|(q, s)| S::constant(q / s)).collect())
        }
    }
}

/// Weights in clipped ranges, rounded to nearest.
pub(super) fn clipped<S: Scalar>(
    weight: Matrix<'_, S>,
    known: &Calibration,
    (grid, sharing): (&Grid, Sharing),
    options: &Awq,
) -> Vec<S> {
    let clipped = clip(weight, known, (grid, sharing), options);
    rtn(Matrix::new(&clipped, weight.columns()), grid, sharing).values
}

/// Every element to the nearest that a storage has.
///
/// # Errors
/// A block format that has no encoder.
pub fn nearest<S: Scalar>(
    storage: &Storage,
    weight: Matrix<'_, S>,
    ragged: Ragged,
) -> Result<Vec<S>, QuantizeError> {
    Ok(match storage {
        Storage::Plain(format) => plain(*format, weight.values()),
        Storage::Scaled(scaled) => {
            let sharing = Sharing { group: scaled.group, ragged };
            scaled_values(weight, &Grid::of(scaled), sharing)
        }
        Storage::Block(block) => return blocks::values(*block, weight),
        Storage::Sparse(sparse) => {
            let kept = sparse::pruned(weight, sparse.kept);
            let dense = sparse.scaled.map_or(Storage::Plain(sparse.element), Storage::Scaled);
            return nearest(&dense, Matrix::new(&kept, weight.columns()), ragged);
        }
    })
}

pub(super) fn rounded<S: Scalar>(grid: &Grid, affine: Affine, x: S) -> S {
    if x.value().is_nan() {
        return x;
    }
    S::constant(grid.value(affine, grid.code(affine, x.value())))
}

/// What [`rtn`] gives, without its codes.
fn scaled_values<S: Scalar>(weight: Matrix<'_, S>, grid: &Grid, sharing: Sharing) -> Vec<S> {
    let places = sharing.places(weight.columns());
    let affine = rtn::fit(weight, grid, &places);
    let mut values = Vec::with_capacity(weight.values().len());
    for r in 0..weight.rows() {
        let row = weight.row(r).iter().enumerate();
        values.extend(row.map(|(c, x)| rounded(grid, affine[places.of(r, c)], *x)));
    }
    values
}

/// Values of a format without scales; integers are left as they are.
fn plain<S: Scalar>(format: Format, values: &[S]) -> Vec<S> {
    match Number::of(format) {
        Number::Integer(_) => values.to_vec(),
        Number::Float(float) => {
            let round = |x: &S| S::constant(float.round(x.value(), Overflow::Special));
            values.iter().map(round).collect()
        }
    }
}
