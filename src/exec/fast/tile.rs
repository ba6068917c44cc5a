//! Attention over tiles of keys with running maximum and sum.

use super::attention::{Parts, QUERIES, Scoring, queries, table};
use super::{Real, Strided, product};
use crate::op::scalar::Scalar;
use crate::op::{Operand, Target};
use crate::par;
use crate::tensor::{Sequence, Step};
use faer::Par;
use std::ops::Range;

/// Keys and values of one head of one sequence.
struct Cached<S> {
    keys: Vec<S>,
    values: Vec<S>,
}

/// Queries of one sequence and key head that are attended together.
struct Task<S> {
    sequence: Sequence,
    cached: usize,
    kv: usize,
    queries: (usize, usize),
    /// Their rows, one head behind the other.
    q: Vec<S>,
}

/// What an attention is computed with.
struct Attention<'a, S> {
    parts: &'a Parts<'a>,
    tile: usize,
    table: Vec<S>,
    sinks: Option<&'a [S]>,
}

/// `softmax(scores) values` for every query, in tiles of `tile` keys.
pub(super) fn attend<S: Real>(
    parts: &Parts<'_>,
    tile: usize,
    step: &Step,
    operands: &[Operand<'_, S>],
    out: &mut Target<'_, S>,
) {
    let (kv_heads, group) = parts.key_heads();
    let values = operands.len() - 1;
    let sinks = parts.softmax.sinks.then(|| operands[values - 1].row(0));
    let has_table = values - usize::from(parts.softmax.sinks) > 2;
    let table = match parts.scoring {
        Scoring::Plain(_) if has_table => table(operands),
        _ => vec![],
    };
    let attention = Attention { parts, tile, table, sinks };
    let heads: Vec<(Sequence, usize)> =
        step.sequences().flat_map(|s| (0..kv_heads).map(move |kv| (s, kv))).collect();
    let cached: Vec<Cached<S>> =
        heads.iter().map(|(s, kv)| cached(parts, step, operands, (s, *kv))).collect();
    let tasks: Vec<Task<S>> = (0..)
        .zip(&heads)
        .flat_map(|(cached, &(sequence, kv))| {
            let blocks = (0..sequence.new).step_by(QUERIES);
            blocks.map(move |first| {
                let block = (first, (first + QUERIES).min(sequence.new));
                let q = queries(&operands[0], &sequence, block, (kv, group, parts.key_dim()));
                Task { sequence, cached, kv, queries: block, q }
            })
        })
        .collect();
    let made: Vec<Vec<S>> = par::map(&tasks, |task| attention.of_task(task, &cached[task.cached]));
    let dim = parts.sum.head_dim as usize;
    for (task, made) in tasks.iter().zip(made) {
        let (first, end) = task.queries;
        for (row, values) in made.chunks_exact(dim).enumerate() {
            let (g, i) = (row / (end - first), first + row % (end - first));
            let column = (task.kv * group + g) * dim;
            for (d, &v) in values.iter().enumerate() {
                out.set(task.sequence.first_token + i, column + d, v);
            }
        }
    }
}

/// The keys and values that any new token of a sequence sees, of one head.
fn cached<S: Real>(
    parts: &Parts<'_>,
    step: &Step,
    operands: &[Operand<'_, S>],
    (s, kv): (&Sequence, usize),
) -> Cached<S> {
    let (mask, dim) = (parts.sum.mask, parts.sum.head_dim as usize);
    let first = step.first_key(s, mask);
    let rows = operands[operands.len() - 1];
    let (mut keys, mut values) = (vec![], vec![]);
    for key in 0..s.visible(s.new - 1, mask).end {
        parts.key(operands, (first + key, kv), &mut keys);
        values.extend_from_slice(&rows.row(first + key)[kv * dim..(kv + 1) * dim]);
    }
    Cached { keys, values }
}

impl<S: Real> Attention<'_, S> {
    /// Rows of the heads of `kv`, one head behind the other.
    fn of_task(&self, task: &Task<S>, cached: &Cached<S>) -> Vec<S> {
        let (_, group) = self.parts.key_heads();
        let (first, end) = task.queries;
        let (rows, dim) = (group * (end - first), self.parts.sum.head_dim as usize);
        let number = <S as Scalar>::constant;
        let mut running = Running {
            max: vec![number(f64::NEG_INFINITY); rows],
            sum: vec![number(0.0); rows],
            out: vec![number(0.0); rows * dim],
        };
        if let Some(sinks) = self.sinks {
            for row in 0..rows {
                running.max[row] = sinks[task.kv * group + row / (end - first)];
                running.sum[row] = number(1.0);
            }
        }
        let mask = self.parts.sum.mask;
        let seen = |i: usize| task.sequence.visible(i, mask);
        for start in (seen(first).start..seen(end - 1).end).step_by(self.tile) {
            let keys = start..(start + self.tile).min(seen(end - 1).end);
            self.tile(task, cached, &mut running, keys);
        }
        running.finish(dim)
    }

    fn tile(
        &self,
        task: &Task<S>,
        cached: &Cached<S>,
        running: &mut Running<S>,
        keys: Range<usize>,
    ) {
        let (dim, values) = (self.parts.key_dim(), self.parts.sum.head_dim as usize);
        let (rows, n) = (running.max.len(), keys.len());
        let mut scores = vec![<S as Scalar>::constant(0.0); rows * n];
        let own = Strided::new(&cached.keys[keys.start * dim..keys.end * dim], n, dim).view();
        let q = Strided::new(&task.q, rows, dim).view();
        product((&mut scores, n), q, own.transpose(), false, Par::Seq);
        let (first, end) = task.queries;
        let (_, group) = self.parts.key_heads();
        for (row, scores) in scores.chunks_exact_mut(n).enumerate() {
            let (g, i) = (row / (end - first), first + row % (end - first));
            let head = (task.kv * group + g) as u64;
            let seen = task.sequence.visible(i, self.parts.sum.mask);
            let seen = seen.start.max(keys.start)..seen.end.min(keys.end);
            let inside = seen.start.saturating_sub(keys.start)..seen.end.saturating_sub(keys.start);
            if seen.is_empty() {
                scores.fill(<S as Scalar>::constant(0.0));
                continue;
            }
            self.finish(task, (i, head), (seen, &mut scores[inside.clone()]));
            running.update(row, values, scores, inside);
        }
        let weights = Strided::new(&scores, rows, n).view();
        let own =
            Strided::new(&cached.values[keys.start * values..keys.end * values], n, values).view();
        product((&mut running.out, values), weights, own, true, Par::Seq);
    }

    /// From dot products to scores.
    fn finish(
        &self,
        task: &Task<S>,
        (i, head): (usize, u64),
        (keys, dots): (Range<usize>, &mut [S]),
    ) {
        let mask = self.parts.sum.mask;
        let from = task.sequence.query_position(i, mask) as f64;
        for (key, dot) in keys.zip(dots) {
            *dot = match self.parts.scoring {
                Scoring::Latent(s) => *dot * <S as Scalar>::constant(s.scale),
                Scoring::Plain(s) => {
                    let to = task.sequence.key_position(key, mask) as f64;
                    s.finish(*dot, head, (from, to), &self.table)
                }
            };
        }
    }
}

/// Maximum, sum and weighted values so far, of each row.
struct Running<S> {
    max: Vec<S>,
    sum: Vec<S>,
    out: Vec<S>,
}

impl<S: Real> Running<S> {
    /// Scores become weights under the new maximum; what was summed before is scaled to it.
    fn update(&mut self, row: usize, dim: usize, scores: &mut [S], inside: Range<usize>) {
        let zero = <S as Scalar>::constant(0.0);
        let before = self.max[row];
        let max = scores[inside.clone()].iter().copied().fold(before, Scalar::maximum);
        let scale = if self.sum[row] == zero { zero } else { Scalar::exp(before - max) };
        scores[..inside.start].fill(zero);
        scores[inside.end..].fill(zero);
        let mut sum = self.sum[row] * scale;
        for s in &mut scores[inside] {
            *s = Scalar::exp(*s - max);
            sum += *s;
        }
        for v in &mut self.out[row * dim..(row + 1) * dim] {
            *v *= scale;
        }
        (self.max[row], self.sum[row]) = (max, sum);
    }

    fn finish(mut self, dim: usize) -> Vec<S> {
        let zero = <S as Scalar>::constant(0.0);
        for (row, &sum) in self.out.chunks_exact_mut(dim).zip(&self.sum) {
            // Cross-attention over no source sees nothing.
            if sum > zero {
                row.iter_mut().for_each(|v| *v /= sum);
            }
        }
        self.out
    }
}
