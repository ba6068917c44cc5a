//! Values of block formats: ggml's types by their codecs; microscaling types with a power of two per block, and
//! NVFP4 with the scale of its tensor.

use super::QuantizeError;
use super::matrix::Matrix;
use crate::codec::{Float, Overflow, block};
use crate::dtype::Block;
use crate::op::scalar::Scalar;

/// What a matrix becomes in blocks along its rows; the last one of a row may be shorter.
pub(super) fn values<S: Scalar>(
    block: Block,
    matrix: Matrix<'_, S>,
) -> Result<Vec<S>, QuantizeError> {
    let Some(element) = block.element().and_then(Float::of) else { return stored(block, matrix) };
    let tensor = match block {
        Block::Nvfp4 => {
            let most = largest(matrix.values());
            let scale = most / (Float::E4M3FN.largest() * element.largest());
            if scale > 0.0 { Float::FP32.round(scale, Overflow::Saturate) } else { 1.0 }
        }
        _ => 1.0,
    };
    let mut values = matrix.values().to_vec();
    for row in values.chunks_mut(matrix.columns().max(1)) {
        for group in row.chunks_mut(block.elements() as usize) {
            let most = largest(group);
            let scale = match block {
                Block::Nvfp4 => {
                    let scale = most / element.largest() / tensor;
                    tensor * Float::E4M3FN.round(scale, Overflow::Saturate)
                }
                _ => power_of_two(most, element),
            };
            for x in group.iter_mut().filter(|x| !x.value().is_nan()) {
                let scaled = if scale > 0.0 { x.value() / scale } else { 0.0 };
                *x = S::constant(scale * element.round(scaled, Overflow::Saturate));
            }
        }
    }
    Ok(values)
}

/// Rows through the bytes of a type, padded with zeros to whole blocks.
fn stored<S: Scalar>(block: Block, matrix: Matrix<'_, S>) -> Result<Vec<S>, QuantizeError> {
    let elements = block.elements() as usize;
    let mut row = vec![0.0_f32; matrix.columns().next_multiple_of(elements)];
    let mut values = Vec::with_capacity(matrix.values().len());
    for r in 0..matrix.rows() {
        row.fill(0.0);
        let given = matrix.row(r).iter().map(|x| x.value() as f32);
        row.iter_mut().zip(given).for_each(|(to, x)| *to = x);
        let bytes = block::quantize(block, &row)?;
        block::dequantize(block, &bytes, &mut row)?;
        values.extend(row[..matrix.columns()].iter().map(|x| S::constant(f64::from(*x))));
    }
    Ok(values)
}

fn largest<S: Scalar>(values: &[S]) -> f64 {
    let finite = values.iter().map(|x| x.value().abs()).filter(|x| x.is_finite());
    finite.fold(0.0, f64::max)
}

/// `2^(floor(log2 max) - floor(log2 largest))` (OCP Microscaling Formats specification 1.0, section 6.3).
fn power_of_two(most: f64, element: Float) -> f64 {
    if most == 0.0 {
        return 1.0;
    }
    let exponent = most.log2().floor() - element.largest().log2().floor();
    exponent.clamp(-127.0, 127.0).exp2()
}
