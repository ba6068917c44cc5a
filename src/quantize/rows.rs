//! Activations and caches under a storage.

use super::QuantizeError;
use super::grid::{Affine, Grid, Range};
use super::matrix::{Matrix, Ragged};
use super::storage::{nearest, rounded};
use crate::dtype::{Group, Scaled, Storage};
use crate::op::scalar::Scalar;
use crate::tensor::{Role, TensorType};

/// Activations or a cache as a storage has them: `rows` of `width` elements, each row a token of an activation or
/// a head of a cache entry.
///
/// Scales are found from the rows given: of a row, of its groups, of a column over all rows, or of all of them;
/// `scale` is the one of the whole tensor where it is known before (`-static`), [`static_scale`] for instance.
///
/// # Errors
/// As [`nearest`].
pub fn rows<S: Scalar>(
    storage: &Storage,
    rows: Matrix<'_, S>,
    scale: Option<f64>,
) -> Result<Vec<S>, QuantizeError> {
    let (Storage::Scaled(scaled), Some(scale)) = (storage, scale) else {
        return nearest(storage, rows, Ragged::default());
    };
    let grid = Grid::of(scaled);
    let affine = Affine { scale, zero: 0.0 };
    Ok(rows.values().iter().map(|x| rounded(&grid, affine, *x)).collect())
}

/// The scale of a whole tensor whose largest magnitude is known, as the storage keeps it; `None` where the storage
/// has no scale of the whole tensor.
pub fn static_scale(storage: &Storage, largest: f64) -> Option<f64> {
    match storage {
        Storage::Scaled(scaled) if scaled.group == Group::Tensor => {
            let range = Range { min: -largest, max: largest };
            Some(Grid::of(scaled).fit(range).scale)
        }
        _ => None,
    }
}

/// Rounds a value of a graph in place: a row is a token, of a cache one head of a token; scales of columns are
/// those of the cache's channels over all tokens in it.
///
/// # Errors
/// As [`nearest`].
pub fn settle<S: Scalar>(
    storage: &Storage,
    ty: &TensorType,
    scale: Option<f64>,
    value: &mut [S],
) -> Result<(), QuantizeError> {
    let by_channel = matches!(storage, Storage::Scaled(Scaled { group: Group::Column, .. }));
    let width = match ty.role {
        Role::KvCache { head_dim, .. } if !by_channel => head_dim,
        _ => ty.width,
    };
    let settled = rows(storage, Matrix::new(value, width as usize), scale)?;
    value[..settled.len()].copy_from_slice(&settled);
    Ok(())
}
