//! Schedules in f64 by matrix products: rows that read the same keys together.
//!
//! In exact arithmetic any order of the sums gives the same, so that a row is a product of weights and values,
//! and what a schedule does wrong is in the weights.

use super::Attention;
use super::schedule::Schedule;
use crate::exec::Strided;
use crate::par;
use crate::validate::Inputs;
use std::collections::BTreeMap;
use std::ops::Range;

/// Scores of a block at most, where a row has no more.
const SCORES: usize = 1 << 18;

/// Rows of a block at most.
const ROWS: usize = 64;

/// Rows of a sequence that read the same key head, each with its place among those that are asked for.
struct Block {
    sequence: usize,
    kv: usize,
    rows: Vec<(usize, usize)>,
}

/// Weights of a part of the keys, with which they are scaled yet.
struct Part {
    keys: Range<usize>,
    max: f64,
    sum: f64,
}

impl Schedule {
    /// What [`Self::rows`] gives in f64.
    pub(super) fn exact(&self, case: &Attention, inputs: &Inputs, rows: &[usize]) -> Vec<f64> {
        let rounds = self.bugs.sums.or(self.probabilities).or(self.output).or(self.cache);
        if rounds.is_some() {
            return self.rows::<f64>(case, inputs, rows);
        }
        let inputs = self.given(case, inputs);
        let blocks = self.blocks(case, rows);
        let made = par::map(&blocks, |block| self.block(case, &inputs, block));
        let dim = case.value_dim() as usize;
        let mut out = vec![0.0; rows.len() * dim];
        for (block, made) in blocks.iter().zip(made) {
            for (&(_, place), row) in block.rows.iter().zip(made.chunks_exact(dim)) {
                out[place * dim..(place + 1) * dim].copy_from_slice(row);
            }
        }
        out
    }

    /// The rows by sequence and key head, a few queries that follow each other at a time.
    fn blocks(&self, case: &Attention, rows: &[usize]) -> Vec<Block> {
        let [heads, queries] = [case.heads, case.seq].map(|n| n as usize);
        let mut groups: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        for (place, &row) in rows.iter().enumerate() {
            let row = self.bugs.source(case, row);
            let kv = (self.bugs.head)(case, row % heads);
            groups.entry((row / heads / queries, kv)).or_default().push((row, place));
        }
        let each = (SCORES / case.keys() as usize).clamp(1, ROWS);
        let blocks = groups.into_iter().flat_map(|((sequence, kv), mut rows)| {
            rows.sort_unstable();
            let block = |rows: &[(usize, usize)]| Block { sequence, kv, rows: rows.to_vec() };
            rows.chunks(each).map(block).collect::<Vec<_>>()
        });
        blocks.collect()
    }

    fn block(&self, case: &Attention, inputs: &Inputs, block: &Block) -> Vec<f64> {
        let [heads, kv_heads, dim] = [case.heads, case.kv_heads, case.head_dim].map(|n| n as usize);
        let of_values = case.value_dim() as usize;
        let [queries, keys] = [case.seq, case.keys()].map(|n| n as usize);
        let place = |row: usize| (row % heads, row / heads % queries);
        let seen = |&(row, _): &(usize, usize)| self.visible(case, place(row).1);
        let seen: Vec<Range<usize>> = block.rows.iter().map(seen).collect();
        let start = seen.iter().map(|s| s.start).min().unwrap_or(0);
        let end = seen.iter().map(|s| s.end).max().unwrap_or(0).max(start);
        let n = end - start;
        if n == 0 {
            return vec![0.0; block.rows.len() * of_values];
        }
        let first = (block.sequence * keys + start) * kv_heads + block.kv;
        let cached = |name: &str, columns: usize| Strided {
            data: &inputs.of(name)[first * columns..],
            rows: n,
            columns,
            stride: kv_heads * columns,
        };
        let q = inputs.of("q");
        let query = |&(row, _): &(usize, usize)| &q[row * dim..(row + 1) * dim];
        let q: Vec<f64> = block.rows.iter().flat_map(query).copied().collect();
        let q = Strided::new(&q, block.rows.len(), dim);
        let mut weights = q.times_transposed(cached("k", dim));
        for ((&(row, _), seen), weights) in
            block.rows.iter().zip(&seen).zip(weights.chunks_exact_mut(n))
        {
            let sink = self.sink(case, inputs, place(row).0);
            self.weigh(case, place(row), (seen.clone(), start), weights, sink);
        }
        Strided::new(&weights, block.rows.len(), n).times(cached("v", of_values))
    }

    /// Dot products of a row, of keys from `start` on, become weights; 0 where nothing is seen.
    fn weigh(
        &self,
        case: &Attention,
        (h, i): (usize, usize),
        (seen, start): (Range<usize>, usize),
        row: &mut [f64],
        sink: Option<f64>,
    ) {
        row[..seen.start - start].fill(0.0);
        row[seen.end - start..].fill(0.0);
        for key in seen.clone() {
            row[key - start] = self.finish(case, row[key - start], (h, i, key));
        }
        let mut parts = vec![];
        let mut read = seen.start;
        for tiles in self.splits(case).filter(|tiles| !tiles.is_empty()) {
            let inside = |key: usize| (key * self.tile).clamp(read, seen.end);
            let keys = inside(tiles.start) - start..inside(tiles.end) - start;
            read = inside(tiles.end);
            let padded = self.padded(case, &tiles);
            let (max, sum) = self.summed(&mut row[keys.clone()], (keys.start + start, padded));
            if sum > 0.0 {
                parts.push(Part { keys, max, sum });
            }
        }
        // Tiles that are not read.
        row[read - start..].fill(0.0);
        self.merge(&parts, row, sink);
    }

    /// Keys of zeros behind the last one that some tiles read.
    fn padded(&self, case: &Attention, tiles: &Range<usize>) -> usize {
        let keys = case.keys() as usize;
        let last = keys.div_ceil(self.tile);
        let read = self.bugs.padded && tiles.end == last;
        if read { last * self.tile - keys } else { 0 }
    }

    /// Scores of keys from `first` on become weights under their largest; returns it, and the sum.
    fn summed(&self, scores: &mut [f64], (first, padded): (usize, usize)) -> (f64, f64) {
        let none = if padded > 0 { 0.0 } else { f64::NEG_INFINITY };
        let largest = |from: f64, scores: &[f64]| scores.iter().copied().fold(from, f64::max);
        let mut max = if self.bugs.unscaled { none } else { largest(none, scores) };
        let mut sum = 0.0;
        let mut at = 0;
        while at < scores.len() {
            let tile = self.tile - (first + at) % self.tile;
            let end = (at + tile).min(scores.len());
            let tile = &mut scores[at..end];
            max = largest(max, tile);
            for s in tile.iter_mut() {
                *s = self.exp(*s - max);
                sum += *s;
            }
            at += tile.len();
        }
        (max, sum + padded as f64 * self.exp(0.0 - max))
    }

    /// Weights of the parts become those of the row.
    fn merge(&self, parts: &[Part], row: &mut [f64], sink: Option<f64>) {
        let max = parts.iter().map(|p| p.max).chain(sink).fold(f64::NEG_INFINITY, f64::max);
        let scale = |part: &Part| self.exp(part.max - max);
        let sink = sink.map_or(0.0, |sink| self.exp(sink - max));
        let sum = parts.iter().fold(sink, |sum, part| sum + part.sum * scale(part));
        for part in parts {
            let factor = match self.bugs.averaged {
                true => 1.0 / (part.sum * parts.len() as f64),
                false => scale(part) / sum,
            };
            row[part.keys.clone()].iter_mut().for_each(|w| *w *= factor);
        }
    }
}
