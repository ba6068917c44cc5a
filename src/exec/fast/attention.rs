//! Attention in three parts: which nodes belong together, and the parts on their own.

use super::{Real, Strided, everyone, product};
use crate::graph::{Graph, NodeId};
use crate::op::scalar::Scalar;
use crate::op::{LatentScores, Op, Operand, ScoreBias, Scores, Softmax, Target, WeightedSum};
use crate::tensor::{Mask, Sequence, Step};

/// Queries that are taken at a time.
pub(super) const QUERIES: usize = 128;

/// What gives the scores.
#[derive(Clone, Copy)]
pub(super) enum Scoring<'a> {
    Plain(&'a Scores),
    Latent(&'a LatentScores),
}

/// The three operators of an attention.
pub(super) type Operators<'a> = (&'a Scores, &'a Softmax, &'a WeightedSum);

/// The three parts of an attention whose inner values nobody else reads.
pub(super) struct Parts<'a> {
    pub(super) scoring: Scoring<'a>,
    pub(super) softmax: &'a Softmax,
    pub(super) sum: &'a WeightedSum,
}

impl<'a> Parts<'a> {
    /// The attention that ends in node `sum`, and its nodes.
    pub(super) fn of(graph: &'a Graph, sum: NodeId) -> Option<(Self, [NodeId; 3])> {
        let Some(Op::WeightedSum(op)) = graph.op(sum) else { return None };
        let only = |value: NodeId, reader: NodeId| graph.readers(value) == [reader];
        let softmax = *graph.operands(sum).first()?;
        let Some(Op::Softmax(of_softmax)) = graph.op(softmax) else { return None };
        let scores = *graph.operands(softmax).first()?;
        let scoring = match graph.op(scores)? {
            Op::Scores(s) if is_plain(s) => Scoring::Plain(s),
            Op::LatentScores(s) => Scoring::Latent(s),
            _ => return None,
        };
        let found = Self { scoring, softmax: of_softmax, sum: op };
        let alone = only(softmax, sum) && only(scores, softmax);
        alone.then_some((found, [scores, softmax, sum]))
    }

    /// The attention of three operators on their own.
    pub(super) fn new((scores, softmax, sum): Operators<'a>) -> Option<Self> {
        is_plain(scores).then_some(Self { scoring: Scoring::Plain(scores), softmax, sum })
    }

    /// Elements of a query and a key.
    pub(super) fn key_dim(&self) -> usize {
        match self.scoring {
            Scoring::Plain(s) => s.head_dim as usize,
            Scoring::Latent(s) => (s.rotary_dim + s.head_dim) as usize,
        }
    }

    /// Key `row` of key head `kv`, appended to `keys`.
    pub(super) fn key<S: Real>(
        &self,
        operands: &[Operand<'_, S>],
        (row, kv): (usize, usize),
        keys: &mut Vec<S>,
    ) {
        if let Scoring::Latent(_) = self.scoring {
            keys.extend_from_slice(operands[2].row(row));
        }
        let own = match self.scoring {
            Scoring::Plain(s) => s.head_dim,
            Scoring::Latent(s) => s.head_dim,
        } as usize;
        keys.extend_from_slice(&operands[1].row(row)[kv * own..(kv + 1) * own]);
    }

    /// Key heads, and query heads of each.
    pub(super) fn key_heads(&self) -> (usize, usize) {
        let (heads, kv_heads) = match self.scoring {
            Scoring::Plain(s) => (s.heads, s.kv_heads),
            Scoring::Latent(s) => (s.heads, s.kv_heads),
        };
        (kv_heads as usize, (heads / kv_heads) as usize)
    }
}

/// Masks under which the keys of later queries do not begin or end earlier.
const fn is_tiled(mask: Mask) -> bool {
    matches!(mask, Mask::Full | Mask::Cross | Mask::Causal | Mask::Sliding { .. })
}

/// Whether scores are computed from queries and keys alone, in tiles.
fn is_plain(scores: &Scores) -> bool {
    is_tiled(scores.mask) && scores.bias != Some(ScoreBias::PositionKeys)
}

/// What an attention as a whole is computed from: operands of its scores, sinks, values.
pub(super) fn reads(graph: &Graph, sum: NodeId) -> Option<Vec<NodeId>> {
    let (_, [scores, softmax, sum]) = Parts::of(graph, sum)?;
    let mut reads = graph.operands(scores);
    reads.extend(graph.operands(softmax).into_iter().skip(1));
    reads.extend(graph.operands(sum).into_iter().skip(1));
    Some(reads)
}

/// Whether a node is one of the first two parts of an attention.
pub(super) fn is_inner(graph: &Graph, id: NodeId) -> bool {
    let behind = |id: NodeId| graph.readers(id).first().copied();
    let sum = match graph.op(id) {
        Some(Op::Scores(_) | Op::LatentScores(_)) => behind(id).and_then(behind),
        Some(Op::Softmax(_)) => behind(id),
        _ => None,
    };
    sum.and_then(|sum| Parts::of(graph, sum)).is_some_and(|(_, nodes)| nodes.contains(&id))
}

/// Rows of a query head for queries `first..end` of a sequence, for the heads of `kv` one behind another.
pub(super) fn queries<S: Real>(
    q: &Operand<'_, S>,
    s: &Sequence,
    (first, end): (usize, usize),
    (kv, group, dim): (usize, usize, usize),
) -> Vec<S> {
    let rows =
        |h: usize| (first..end).map(move |i| &q.row(s.first_token + i)[h * dim..(h + 1) * dim]);
    (kv * group..(kv + 1) * group).flat_map(rows).flatten().copied().collect()
}

/// The scores of all visible pairs.
pub(super) fn scores<S: Real>(
    op: &Scores,
    step: &Step,
    operands: &[Operand<'_, S>],
    out: &mut Target<'_, S>,
) -> bool {
    if !is_plain(op) {
        return false;
    }
    let [dim, kv_heads, heads] = [op.head_dim, op.kv_heads, op.heads].map(|n| n as usize);
    let group = heads / kv_heads;
    let table: Vec<S> = table(operands);
    let mut first_pair = 0;
    for s in step.sequences() {
        let first_key = step.first_key(&s, op.mask);
        for first in (0..s.new).step_by(QUERIES) {
            let end = (first + QUERIES).min(s.new);
            let range = s.visible(first, op.mask).start..s.visible(end - 1, op.mask).end;
            for kv in 0..kv_heads {
                let own = |row: usize| &operands[1].row(first_key + row)[kv * dim..(kv + 1) * dim];
                let keys: Vec<S> = range.clone().flat_map(own).copied().collect();
                let q = queries(&operands[0], &s, (first, end), (kv, group, dim));
                let dots = dots(&q, &keys, dim);
                let mut pair = first_pair;
                for i in first..end {
                    let from = s.query_position(i, op.mask) as f64;
                    for key in s.visible(i, op.mask) {
                        let positions = (from, s.key_position(key, op.mask) as f64);
                        for g in 0..group {
                            let at = (g * (end - first) + i - first) * range.len();
                            let dot = dots[at + key - range.start];
                            let h = kv * group + g;
                            out.set(pair, h, op.finish(dot, h as u64, positions, &table));
                        }
                        pair += 1;
                    }
                }
            }
            first_pair += (first..end).map(|i| s.visible(i, op.mask).len()).sum::<usize>();
        }
    }
    true
}

/// The table of a learned bias; empty without one.
pub(super) fn table<S: Real>(operands: &[Operand<'_, S>]) -> Vec<S> {
    operands.get(2).and_then(Operand::dense).map_or_else(Vec::new, <[S]>::to_vec)
}

/// `q k^T` of rows of `dim`.
pub(super) fn dots<S: Real>(q: &[S], keys: &[S], dim: usize) -> Vec<S> {
    let (rows, columns) = (q.len() / dim, keys.len() / dim);
    let mut dots = vec![<S as Scalar>::constant(0.0); rows * columns];
    let (q, keys) = (Strided::new(q, rows, dim), Strided::new(keys, columns, dim));
    product((&mut dots, columns), q.view(), keys.view().transpose(), false, everyone());
    dots
}

/// Probabilities of all visible pairs times the values.
pub(super) fn weighted_sum<S: Real>(
    op: &WeightedSum,
    step: &Step,
    operands: &[Operand<'_, S>],
    out: &mut Target<'_, S>,
) -> bool {
    if !is_tiled(op.mask) {
        return false;
    }
    let [dim, kv_heads, heads] = [op.head_dim, op.kv_heads, op.heads].map(|n| n as usize);
    let zero = <S as Scalar>::constant(0.0);
    let mut first_pair = 0;
    for s in step.sequences() {
        let first_key = step.first_key(&s, op.mask);
        for first in (0..s.new).step_by(QUERIES) {
            let end = (first + QUERIES).min(s.new);
            let range = s.visible(first, op.mask).start..s.visible(end - 1, op.mask).end;
            for h in 0..heads {
                let kv = h / (heads / kv_heads);
                let own = |row: usize| &operands[1].row(first_key + row)[kv * dim..(kv + 1) * dim];
                let values: Vec<S> = range.clone().flat_map(own).copied().collect();
                let mut weights = vec![zero; (end - first) * range.len()];
                let mut pair = first_pair;
                for i in first..end {
                    for key in s.visible(i, op.mask) {
                        let at = (i - first) * range.len() + key - range.start;
                        weights[at] = operands[0].at(pair, h);
                        pair += 1;
                    }
                }
                let mut made = vec![zero; (end - first) * dim];
                let weights = Strided::new(&weights, end - first, range.len()).view();
                let values = Strided::new(&values, range.len(), dim).view();
                product((&mut made, dim), weights, values, false, everyone());
                for (i, row) in (first..).zip(made.chunks_exact(dim)) {
                    for (d, &v) in row.iter().enumerate() {
                        out.set(s.first_token + i, h * dim + d, v);
                    }
                }
            }
            first_pair += (first..end).map(|i| s.visible(i, op.mask).len()).sum::<usize>();
        }
    }
    true
}
