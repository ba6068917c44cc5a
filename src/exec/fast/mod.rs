//! Kernels for f32 and f64, each equal to its operator's defining form but for the order of sums.
//! Matrix products are those of the crate `faer`.

mod attention;
mod dense;
mod experts;
mod heads;
mod tile;

use super::kernels::{Applied, Kernels};
use crate::graph::{Graph, NodeId};
use crate::op::scalar::Scalar;
use crate::op::{Op, Operand, Scores, Softmax, Target, WeightedSum};
use crate::tensor::Step;
use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

/// Keys that a tile of attention holds unless it is said otherwise.
const TILE: usize = 256;

/// A number that the kernels compute with: f32 or f64.
pub trait Real: Scalar + ComplexField + Send + Sync {}

impl Real for f32 {}
impl Real for f64 {}

/// Kernels for f32 and f64.
///
/// With a tile, the three parts of attention run as one, over so many keys at a time with running maximum
/// and sum (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135), and scores and
/// probabilities have no value of their own. Without one each part is a node of its own.
#[derive(Debug, Clone, Copy)]
pub struct Fast {
    tile: Option<usize>,
}

impl Default for Fast {
    fn default() -> Self {
        Self::flash(TILE)
    }
}

impl Fast {
    /// Attention in tiles of so many keys, at least one.
    pub fn flash(tile: usize) -> Self {
        Self { tile: Some(tile.max(1)) }
    }

    /// Scores, probabilities and weighted sum one behind the other.
    pub const fn naive() -> Self {
        Self { tile: None }
    }
}

impl<S: Real> Kernels<S> for Fast {
    fn reads(&self, graph: &Graph, id: NodeId) -> Vec<NodeId> {
        match self.tile {
            Some(_) if self.skipped(graph, id) => vec![],
            Some(_) => attention::reads(graph, id).unwrap_or_else(|| graph.operands(id)),
            None => graph.operands(id),
        }
    }

    fn skips(&self, graph: &Graph, id: NodeId) -> bool {
        self.skipped(graph, id)
    }

    fn apply(&self, applied: &Applied<'_, S>, out: &mut Target<'_, S>) -> bool {
        let (step, operands) = (applied.step, applied.operands);
        match applied.op {
            Op::MatMul(op) => dense::matmul(op, step, operands, out),
            Op::Conv1d(op) => dense::conv1d(op, step, operands, out),
            Op::Expand(op) => dense::expand(op, step, operands, out),
            Op::HeadMatMul(op) => heads::head_matmul(op, step, operands, out),
            Op::GroupedMatMul(op) => experts::grouped_matmul(op, step, operands, out),
            Op::Scores(op) => attention::scores(op, step, operands, out),
            Op::WeightedSum(op) => {
                match (self.tile, attention::Parts::of(applied.graph, applied.id)) {
                    (Some(tile), Some((parts, _))) => {
                        tile::attend(&parts, tile, step, operands, out);
                        true
                    }
                    _ => attention::weighted_sum(op, step, operands, out),
                }
            }
            _ => false,
        }
    }
}

impl Fast {
    fn skipped(&self, graph: &Graph, id: NodeId) -> bool {
        self.tile.is_some() && attention::is_inner(graph, id)
    }
}

/// Attention of new tokens as a whole, `[tokens, heads * elements of a value's head]`, from queries, keys, sinks where there
/// are some, and values; none of operators that have no tiles.
pub fn attend<S: Real>(
    operators: (&Scores, &Softmax, &WeightedSum),
    step: &Step,
    operands: &[Operand<'_, S>],
) -> Option<Vec<S>> {
    let parts = attention::Parts::new(operators)?;
    let width = (parts.sum.heads * parts.sum.head_dim) as usize;
    let mut out = vec![<S as Scalar>::constant(0.0); step.tokens() as usize * width];
    tile::attend(&parts, TILE, step, operands, &mut Target::new(&mut out, width));
    Some(out)
}

/// A matrix in a slice.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a, S> {
    /// Its elements, row-major.
    pub data: &'a [S],
    /// Rows.
    pub rows: usize,
    /// Elements of a row.
    pub columns: usize,
    /// Elements from one row to the next.
    pub stride: usize,
}

impl<'a, S: Real> Strided<'a, S> {
    /// Rows one behind the other.
    pub const fn new(data: &'a [S], rows: usize, columns: usize) -> Self {
        Self { data, rows, columns, stride: columns }
    }

    /// `x w`, on this thread.
    pub fn times(self, w: Self) -> Vec<S> {
        let mut y = vec![<S as Scalar>::constant(0.0); self.rows * w.columns];
        product((&mut y, w.columns), self.view(), w.view(), false, Par::Seq);
        y
    }

    /// `x w^T`, on this thread.
    pub fn times_transposed(self, w: Self) -> Vec<S> {
        let mut y = vec![<S as Scalar>::constant(0.0); self.rows * w.rows];
        product((&mut y, w.rows), self.view(), w.view().transpose(), false, Par::Seq);
        y
    }

    fn view(self) -> MatRef<'a, S> {
        MatRef::from_row_major_slice_with_stride(self.data, self.rows, self.columns, self.stride)
    }
}

/// `y (+)= x w` with `y` of rows `stride` apart.
fn product<S: Real>(
    (y, stride): (&mut [S], usize),
    x: MatRef<'_, S>,
    w: MatRef<'_, S>,
    add: bool,
    par: Par,
) {
    let y = MatMut::from_column_major_slice_with_stride_mut(y, w.ncols(), x.nrows(), stride);
    let accum = if add { Accum::Add } else { Accum::Replace };
    matmul(y.transpose_mut(), accum, x, w, <S as Scalar>::constant(1.0), par);
}

/// All threads of the pool.
fn everyone() -> Par {
    Par::rayon(0)
}
