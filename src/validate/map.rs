//! Where the errors of an output are.

use super::difference::gap;
use super::reference::Judged;

/// Errors over two axes of an output: each cell the worst of all that it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Name and extent of the axis from top to bottom.
    pub rows: (&'static str, u64),
    /// Of the axis from left to right.
    pub columns: (&'static str, u64),
    /// Neighbours on either axis that share a cell: a power of two.
    pub tile: (u64, u64),
    /// Error over the default policy's tolerance, row by row; infinite for NaN. At most 1 is right.
    pub cells: Vec<Vec<f64>>,
}

/// Most cells along an axis.
const CELLS: u64 = 64;

/// Error over tolerance of every element; none where it is not judged.
fn excess(judged: &Judged<'_>) -> Vec<f64> {
    let Judged { got, reference } = judged;
    let each = got.iter().zip(&reference.truth).zip(&reference.tolerance);
    each.map(|((&a, &e), &t)| match gap(a, e) {
        0.0 => 0.0,
        _ if t.is_nan() => 0.0,
        g if g.is_nan() => f64::INFINITY,
        g => g / t,
    })
    .collect()
}

/// A map of every two neighbouring axes with more than one element, and of the slowest with the fastest.
pub fn maps(judged: &Judged<'_>) -> Vec<Map> {
    let axes = &judged.reference.output.layout.axes;
    let errors = excess(judged);
    let long: Vec<usize> = (0..axes.len()).filter(|&i| axes[i].1 > 1).collect();
    let mut pairs: Vec<(usize, usize)> = long.windows(2).map(|w| (w[0], w[1])).collect();
    if let ([first, _, .., last], true) = (long.as_slice(), long.len() > 2) {
        pairs.push((*first, *last));
    }
    if pairs.is_empty() {
        pairs.extend(axes.len().checked_sub(1).map(|last| (last.saturating_sub(1), last)));
    }
    pairs.into_iter().map(|pair| map(axes, pair, &errors)).collect()
}

fn map(axes: &[(&'static str, u64)], (row, column): (usize, usize), errors: &[f64]) -> Map {
    let rows = if row == column { ("", 1) } else { axes[row] };
    let columns = axes[column];
    let tile = |n: u64| n.div_ceil(CELLS).next_power_of_two();
    let tile = (tile(rows.1), tile(columns.1));
    let (height, width) = (rows.1.div_ceil(tile.0), columns.1.div_ceil(tile.1));
    let mut cells = vec![vec![0.0_f64; width as usize]; height as usize];
    let stride = |axis: usize| axes[axis + 1..].iter().map(|a| a.1).product::<u64>();
    let (rows_apart, columns_apart) = (stride(row), stride(column));
    for (i, &error) in errors.iter().enumerate() {
        let r = i as u64 / rows_apart % rows.1 / tile.0;
        let c = i as u64 / columns_apart % columns.1 / tile.1;
        let cell = &mut cells[r as usize][c as usize];
        *cell = cell.max(error);
    }
    Map { rows, columns, tile, cells }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Float;
    use crate::validate::{Layout, Output, Reference, Stored, Usual};

    /// One element of `[2, 3, 130]` off by four tolerances, at sequence 1, head 2, element 101.
    #[test]
    fn an_error_stands_in_the_cell_of_its_indices() {
        let axes = [("sequence", 2), ("head", 3), ("element", 130)];
        let layout = Layout::new("out", "", axes, Stored::Float(Float::FP32));
        let truth = vec![1.0; layout.elements()];
        let reference = Reference {
            tolerance: vec![0.5; truth.len()],
            emulated: truth.clone(),
            output: Output { layout, discrete: false },
            usual: Usual::PLAIN,
            truth,
        };
        let mut got = reference.truth.clone();
        got[(3 + 2) * 130 + 101] = 3.0;
        let found = maps(&Judged { got: &got, reference: &reference });
        let wrong = |map: &Map| -> Vec<(usize, usize, f64)> {
            let cells = map.cells.iter().enumerate();
            let cells =
                cells.flat_map(|(r, row)| row.iter().enumerate().map(move |(c, &v)| (r, c, v)));
            cells.filter(|cell| cell.2 > 0.0).collect()
        };
        let names: Vec<_> = found.iter().map(|m| (m.rows.0, m.columns.0, m.tile)).collect();
        let expected = [
            ("sequence", "head", (1, 1)),
            ("head", "element", (1, 4)),
            ("sequence", "element", (1, 4)),
        ];
        assert_eq!(names, expected);
        let places: Vec<_> = found.iter().map(wrong).collect();
        assert_eq!(places, [[(1, 2, 4.0)], [(2, 25, 4.0)], [(1, 25, 4.0)]]);
    }
}
