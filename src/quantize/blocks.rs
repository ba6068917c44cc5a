//! Values of block formats, by their codecs.

use super::QuantizeError;
use super::matrix::Matrix;
use crate::codec::{Float, Mx, Nvfp4, ScaleMode, block};
use crate::dtype::Block;
use crate::op::scalar::Scalar;

/// What a matrix becomes in blocks along its rows, computed in f32; the last block of a row may be shorter.
/// Microscaling takes the specification's powers of two ([`ScaleMode::Floor`]), NVFP4 a scale for the tensor.
pub(super) fn values<S: Scalar>(
    block: Block,
    matrix: Matrix<'_, S>,
) -> Result<Vec<S>, QuantizeError> {
    let nvfp4 = Nvfp4 { tensor: None };
    let nvfp4 = match largest(matrix.values()) {
        most if most > 0.0 => Nvfp4::for_largest(most),
        _ => nvfp4,
    };
    let mut values = Vec::with_capacity(matrix.values().len());
    for r in 0..matrix.rows() {
        let row: Vec<f32> = matrix.row(r).iter().map(|x| x.value() as f32).collect();
        let rounded = match (block, block.element().and_then(Float::of)) {
            (Block::Nvfp4, _) => nvfp4.round(&row),
            (_, Some(element)) => Mx { element, mode: ScaleMode::Floor }.round(&row),
            (_, None) => stored(block, row)?,
        };
        values.extend(rounded.iter().map(|x| S::constant(f64::from(*x))));
    }
    Ok(values)
}

/// A row through the bytes of a type, padded with zeros to whole blocks.
fn stored(block: Block, mut row: Vec<f32>) -> Result<Vec<f32>, QuantizeError> {
    let columns = row.len();
    row.resize(columns.next_multiple_of(block.elements() as usize), 0.0);
    let bytes = block::quantize(block, &row)?;
    block::dequantize(block, &bytes, &mut row)?;
    row.truncate(columns);
    Ok(row)
}

/// The largest finite magnitude.
fn largest<S: Scalar>(values: &[S]) -> f32 {
    let finite = values.iter().map(|x| x.value().abs() as f32).filter(|x| x.is_finite());
    finite.fold(0.0, f32::max)
}
