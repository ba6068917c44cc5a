//! A grid of points and the row that each becomes, evaluated in parallel and written in order.
//!
//! Rows come hardware by hardware, technique by technique, with traffic varying fastest, so that
//! a plan is bound to a machine once per block and a grid of any size streams in constant memory.

mod csv;
pub mod deployment;
mod grid;
mod row;
mod subject;
mod waterfall;

pub use self::csv::{header, write_row};
pub use grid::{Block, Grid, GridError};
pub use row::{Figures, Row, Status};
pub use subject::{Technique, Variant};
pub use waterfall::{Change, Metric, Outcome, Stage, Waterfall};

use crate::par::Pool;
use std::ops::Range;

/// Points per unit of parallel work.
const CHUNK: u64 = 2048;
/// Units in flight per thread; bounds memory.
const AHEAD: u64 = 4;

/// Writes every row of the grid as CSV, in order, whatever the number of threads.
///
/// `consume` gets the bytes of consecutive rows and their number; it ends the sweep by an error.
///
/// # Errors
/// What `consume` returns.
pub fn stream<E>(
    grid: &Grid,
    pool: &Pool,
    mut consume: impl FnMut(&[u8], u64) -> Result<(), E>,
) -> Result<(), E> {
    let total = grid.len();
    let stride = CHUNK * AHEAD * pool.jobs() as u64;
    let mut start = 0;
    while start < total {
        let end = total.min(start + stride);
        let chunks: Vec<Range<u64>> =
            (start..end).step_by(CHUNK as usize).map(|from| from..end.min(from + CHUNK)).collect();
        let rendered = pool.map(&chunks, |chunk| csv::render(grid, chunk.clone()));
        for (bytes, chunk) in rendered.iter().zip(&chunks) {
            consume(bytes, chunk.end - chunk.start)?;
        }
        start = end;
    }
    Ok(())
}
