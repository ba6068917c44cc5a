//! Matrices that go in, groups of their elements, and what comes out.

use super::grid::Affine;
use crate::dtype::Group;
use crate::op::scalar::Scalar;

/// A matrix, row-major; of a weight `[outputs, inputs]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, S> {
    values: &'a [S],
    columns: usize,
}

impl<'a, S: Scalar> Matrix<'a, S> {
    /// Whole rows of `columns` elements; what is left behind the last whole row does not belong to it.
    pub const fn new(values: &'a [S], columns: usize) -> Self {
        Self { values, columns }
    }

    /// Elements of a row.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }

    /// The elements, row behind row.
    pub const fn values(&self) -> &'a [S] {
        self.values
    }

    /// Row `r`.
    pub fn row(&self, r: usize) -> &'a [S] {
        &self.values[r * self.columns..(r + 1) * self.columns]
    }

    /// The elements as f64.
    pub(super) fn to_f64(self) -> Vec<f64> {
        self.values.iter().map(|x| x.value()).collect()
    }
}

/// What becomes of a row that is no whole number of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ragged {
    /// The last group is shorter, as the bits of a [`crate::dtype::Storage`] are counted.
    #[default]
    Shorter,
    /// The row is one group.
    Row,
}

/// Which elements of a matrix share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing {
    /// The elements.
    pub group: Group,
    /// Where a row is no whole number of them.
    pub ragged: Ragged,
}

impl From<Group> for Sharing {
    fn from(group: Group) -> Self {
        Self { group, ragged: Ragged::default() }
    }
}

/// Where the scale of each element of a matrix lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Scales from one row to the next; 0 where all rows share them.
    pub per_row: usize,
    /// Of each column, which of the row's.
    pub index: Vec<u32>,
}

impl Sharing {
    /// Elements of a group along rows of `columns`; at least 1.
    pub(super) fn along(&self, columns: usize) -> usize {
        let size = match self.group {
            Group::Tensor | Group::Row => columns,
            Group::Column => 1,
            Group::Size(size) if self.ragged == Ragged::Row => match size as usize {
                0 => columns,
                size if columns.is_multiple_of(size) => size,
                _ => columns,
            },
            Group::Size(size) => size as usize,
        };
        size.clamp(1, columns.max(1))
    }

    /// Whether rows share scales.
    pub(super) const fn spans_rows(&self) -> bool {
        matches!(self.group, Group::Tensor | Group::Column)
    }

    pub(super) fn places(&self, columns: usize) -> Places {
        let along = self.along(columns);
        let per_row = if self.spans_rows() { 0 } else { columns.div_ceil(along) };
        Places { per_row, index: (0..columns).map(|c| (c / along) as u32).collect() }
    }
}

impl Places {
    /// Place of the scale of element `(row, column)`.
    pub fn of(&self, row: usize, column: usize) -> usize {
        row * self.per_row + self.index[column] as usize
    }

    /// Scales of `rows` rows.
    pub(super) fn count(&self, rows: usize) -> usize {
        let along = self.index.iter().max().map_or(0, |&last| last as usize + 1);
        if self.per_row == 0 { along } else { rows * self.per_row }
    }
}

/// A quantized matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized<S> {
    /// Values of the codes, row-major: what an executor multiplies by. NaN stays NaN.
    pub values: Vec<S>,
    /// Codes: integers, or patterns of a float.
    pub codes: Vec<i16>,
    /// Scales and zero points, at [`Places::of`] each element.
    pub affine: Vec<Affine>,
    /// Which scale each element has.
    pub places: Places,
}
