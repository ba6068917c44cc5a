//! Parts of stored tensors put together to the rows of a weight.

use crate::model::checkpoint::{Form, Part, Rows};

/// A stored tensor as a matrix in the form of its part.
pub(super) struct Matrix<V> {
    pub(super) columns: u64,
    pub(super) data: Vec<V>,
}

/// Rows and columns of a stored shape in a form; `None` where the shape has not that form.
pub(super) fn extents(form: Form, shape: &[u64]) -> Option<(u64, u64)> {
    let rest = |dims: &[u64]| match dims {
        [] => (1, 1),
        [rows] => (*rows, 1),
        [leading @ .., columns] => (leading.iter().product(), *columns),
    };
    match (form, shape) {
        (Form::Plain, shape) => Some(rest(shape)),
        (Form::Transposed, &[columns, rows]) => Some((rows, columns)),
        (Form::Taps, &[rows, inputs, taps]) => Some((rows, inputs * taps)),
        (Form::Slab(i), [slabs, slab @ ..]) if i < *slabs => Some(rest(slab)),
        (Form::TransposedSlab(i), &[slabs, columns, rows]) if i < slabs => Some((rows, columns)),
        _ => None,
    }
}

/// Elements of a stored tensor in the order of its form.
pub(super) fn formed<V: Copy>(form: Form, shape: &[u64], data: Vec<V>) -> Option<Matrix<V>> {
    let (rows, columns) = extents(form, shape)?;
    let slab = |i: u64| {
        let n = (rows * columns) as usize;
        data[i as usize * n..(i as usize + 1) * n].to_vec()
    };
    let data = match form {
        Form::Plain => data,
        Form::Transposed => transposed(&data, columns as usize, rows as usize),
        Form::Taps => {
            let (inputs, taps) = (shape[1] as usize, shape[2] as usize);
            data.chunks_exact(inputs * taps).flat_map(|m| transposed(m, inputs, taps)).collect()
        }
        Form::Slab(i) => slab(i),
        Form::TransposedSlab(i) => transposed(&slab(i), columns as usize, rows as usize),
    };
    Some(Matrix { columns, data })
}

/// `[rows, columns]` as `[columns, rows]`.
fn transposed<V: Copy>(data: &[V], rows: usize, columns: usize) -> Vec<V> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| data[r * columns + c])).collect()
}

/// Number of rows that a part takes of `rows`; `None` where it reaches beyond.
pub(super) fn taken(part: &Part, rows: u64) -> Option<u64> {
    match &part.rows {
        Rows::All => Some(rows),
        Rows::Runs { period, count, pieces } => {
            let last = pieces.iter().map(|(first, length)| first + length).max()?;
            let end = count.checked_sub(1)?.checked_mul(*period)?.checked_add(last)?;
            let each: u64 = pieces.iter().map(|(_, length)| length).sum();
            (end <= rows).then_some(count * each)
        }
    }
}

/// Appends the rows that a part takes.
pub(super) fn take<V: Copy>(part: &Part, matrix: Matrix<V>, all: &mut Vec<V>) {
    let columns = matrix.columns as usize;
    match &part.rows {
        Rows::All if all.is_empty() => *all = matrix.data,
        Rows::All => all.extend(matrix.data),
        Rows::Runs { period, count, pieces } => {
            for run in 0..*count {
                for (first, length) in pieces {
                    let start = (run * period + first) as usize * columns;
                    all.extend(&matrix.data[start..start + *length as usize * columns]);
                }
            }
        }
    }
}
