//! What is known of the inputs of a weight: second moments and magnitudes of each channel.

use super::matrix::Matrix;
use crate::op::scalar::Scalar;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::Range;

/// Rows that are multiplied at once.
const ROWS: usize = 256;

/// Statistics over rows of activations `x: [M, K]`, as many as were seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    columns: usize,
    rows: u64,
    gram: Vec<f64>,
    sum: Vec<f64>,
    largest: Vec<f64>,
}

impl Calibration {
    /// Nothing seen yet of rows of `columns` channels (K). Takes `8 K^2` bytes.
    pub fn new(columns: usize) -> Self {
        let (gram, zeros) = (vec![0.0; columns * columns], vec![0.0; columns]);
        Self { columns, rows: 0, gram, sum: zeros.clone(), largest: zeros }
    }

    /// Takes rows of activations into account. Rows with NaN or infinities are left out.
    pub fn observe<S: Scalar>(&mut self, x: Matrix<'_, S>) {
        if x.columns() != self.columns {
            return;
        }
        let finite = |row: &&[S]| row.iter().all(|x| x.value().is_finite());
        let rows: Vec<&[S]> = (0..x.rows()).map(|r| x.row(r)).filter(finite).collect();
        for rows in rows.chunks(ROWS) {
            let part: Vec<f64> = rows.iter().flat_map(|r| r.iter().map(|x| x.value())).collect();
            for row in part.chunks(self.columns) {
                for ((sum, largest), x) in self.sum.iter_mut().zip(&mut self.largest).zip(row) {
                    *sum += x.abs();
                    *largest = largest.max(x.abs());
                }
            }
            let x = MatRef::from_row_major_slice(&part, rows.len(), self.columns);
            let columns = self.columns;
            let gram = MatMut::from_row_major_slice_mut(&mut self.gram, columns, columns);
            matmul(gram, Accum::Add, x.transpose(), x, 1.0, Par::rayon(0));
            self.rows += rows.len() as u64;
        }
    }

    /// Channels (K).
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Rows seen (M).
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// `2/M X^T X: [K, K]`, the Hessian of `|X dw|^2 / M`; zeros where nothing was seen.
    pub fn hessian(&self) -> Vec<f64> {
        let factor = 2.0 / self.rows.max(1) as f64;
        self.gram.iter().map(|g| g * factor).collect()
    }

    /// Mean of `|x|` of each channel.
    pub fn mean(&self) -> Vec<f64> {
        let rows = self.rows.max(1) as f64;
        self.sum.iter().map(|sum| sum / rows).collect()
    }

    /// Largest `|x|` of each channel.
    pub fn largest(&self) -> &[f64] {
        &self.largest
    }

    /// `|X dw^T|^2 / M` of the difference of two weights `[N, K]`: the mean square that it changes outputs by,
    /// summed over the outputs.
    pub fn output_error(&self, difference: &[f64]) -> f64 {
        forms(difference, &self.gram).iter().sum::<f64>().max(0.0) / self.rows.max(1) as f64
    }

    /// What would have been seen with channel `j` divided by `scales[j]`.
    pub fn divided(&self, scales: &[f64]) -> Self {
        let mut divided = self.clone();
        for (i, row) in divided.gram.chunks_mut(self.columns.max(1)).enumerate() {
            row.iter_mut().zip(scales).for_each(|(g, s)| *g /= s * scales[i]);
        }
        divided.sum.iter_mut().zip(scales).for_each(|(x, s)| *x /= s);
        divided.largest.iter_mut().zip(scales).for_each(|(x, s)| *x /= s);
        divided
    }

    /// Some channels' part of `X^T X`.
    pub(super) fn block(&self, channels: &Range<usize>) -> Vec<f64> {
        let rows = channels.clone().map(|i| &self.gram[i * self.columns..(i + 1) * self.columns]);
        rows.flat_map(|row| &row[channels.clone()]).copied().collect()
    }
}

/// `e G e^T` of each row `e: [K]`, for a symmetric `G: [K, K]`.
pub(super) fn forms(rows: &[f64], g: &[f64]) -> Vec<f64> {
    let columns = g.len().isqrt();
    if columns == 0 {
        return vec![];
    }
    let count = rows.len() / columns;
    let rows = &rows[..count * columns];
    let mut product = vec![0.0; rows.len()];
    let left = MatRef::from_row_major_slice(rows, count, columns);
    let right = MatRef::from_row_major_slice(&g[..columns * columns], columns, columns);
    let out = MatMut::from_row_major_slice_mut(&mut product, count, columns);
    matmul(out, Accum::Replace, left, right, 1.0, Par::rayon(0));
    let pairs = rows.chunks(columns).zip(product.chunks(columns));
    pairs.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum()).collect()
}
