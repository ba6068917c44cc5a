//! The matrices that an operator reads and writes, with their touched elements on record.

use super::scalar::Scalar;
use std::cell::RefCell;

/// Which elements of an operand were touched.
#[derive(Debug, Default)]
pub struct Touched(RefCell<Vec<bool>>);

impl Touched {
    /// Nothing touched yet of `elements`.
    pub fn none(elements: usize) -> Self {
        Self(RefCell::new(vec![false; elements]))
    }

    /// Number of distinct elements touched.
    pub fn count(&self) -> usize {
        self.0.borrow().iter().filter(|t| **t).count()
    }

    fn touch(&self, index: usize) {
        self.0.borrow_mut()[index] = true;
    }
}

/// A matrix that is read: `rows x width`, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a, S> {
    data: &'a [S],
    width: usize,
    rows: Option<&'a [usize]>,
    touched: Option<&'a Touched>,
}

impl<'a, S: Scalar> Operand<'a, S> {
    /// A view of `data` with rows of `width`.
    pub fn new(data: &'a [S], width: usize) -> Self {
        Self { data, width, rows: None, touched: None }
    }

    /// The same view, recording what is read.
    pub fn recorded(self, touched: &'a Touched) -> Self {
        Self { touched: Some(touched), ..self }
    }

    /// The same view of rows that lie apart: row `i` at `rows[i]` of the data, as a block table has
    /// it.
    pub fn placed(self, rows: &'a [usize]) -> Self {
        Self { rows: Some(rows), ..self }
    }

    fn index_of(&self, row: usize, column: usize) -> usize {
        self.rows.map_or(row, |rows| rows[row]) * self.width + column
    }

    /// Element `(row, column)`.
    pub fn at(&self, row: usize, column: usize) -> S {
        let index = self.index_of(row, column);
        if let Some(touched) = self.touched {
            touched.touch(index);
        }
        self.data[index]
    }

    /// Elements of a row.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// A whole row; all of it counts as read.
    pub fn row(&self, row: usize) -> &'a [S] {
        let first = self.index_of(row, 0);
        if let Some(touched) = self.touched {
            (first..first + self.width).for_each(|index| touched.touch(index));
        }
        &self.data[first..first + self.width]
    }

    /// All elements, where the rows lie one behind the other and nobody records what is read.
    pub fn dense(&self) -> Option<&'a [S]> {
        (self.rows.is_none() && self.touched.is_none()).then_some(self.data)
    }

    /// Whether anything was written to a row; no read, since who receives rows knows which came.
    pub fn is_filled(&self, row: usize) -> bool {
        !self.data[self.index_of(row, 0)].value().is_nan()
    }

    /// Element `(row, 0)` as an index.
    pub fn index(&self, row: usize) -> usize {
        self.at(row, 0).value() as usize
    }
}

/// A matrix that is written: `rows x width`, row-major.
#[derive(Debug)]
pub struct Target<'a, S> {
    data: &'a mut [S],
    width: usize,
    rows: Option<&'a [usize]>,
    touched: Option<&'a Touched>,
}

impl<'a, S: Scalar> Target<'a, S> {
    /// A view of `data` with rows of `width`.
    pub fn new(data: &'a mut [S], width: usize) -> Self {
        Self { data, width, rows: None, touched: None }
    }

    /// The same view, recording what is written.
    pub fn recorded(self, touched: &'a Touched) -> Self {
        Self { touched: Some(touched), ..self }
    }

    /// The same view of rows that lie apart: row `i` at `rows[i]` of the data, as a block table has
    /// it.
    pub fn placed(self, rows: &'a [usize]) -> Self {
        Self { rows: Some(rows), ..self }
    }

    fn index_of(&self, row: usize, column: usize) -> usize {
        self.rows.map_or(row, |rows| rows[row]) * self.width + column
    }

    /// Writes element `(row, column)`.
    pub fn set(&mut self, row: usize, column: usize, value: S) {
        let index = self.index_of(row, column);
        if let Some(touched) = self.touched {
            touched.touch(index);
        }
        self.data[index] = value;
    }

    /// All elements, where the rows lie one behind the other and nobody records what is written.
    pub fn dense(&mut self) -> Option<&mut [S]> {
        let plain = self.rows.is_none() && self.touched.is_none();
        plain.then_some(&mut *self.data)
    }

    /// Takes over a row that lies in place already (the cache that a KV append extends): the value
    /// appears here and nothing moves.
    pub fn adopt(&mut self, row: usize, from: &Operand<'_, S>, from_row: usize) {
        let (to, at) = (self.index_of(row, 0), from.index_of(from_row, 0));
        self.data[to..to + self.width].copy_from_slice(&from.data[at..at + from.width]);
    }
}
