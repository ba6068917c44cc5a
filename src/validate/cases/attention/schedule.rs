//! Attention as kernels run it: tiles of keys, online softmax, splits of the keys; with hooks for bugs.

use super::{Attention, Bugs};
use crate::codec::{Float, Overflow};
use crate::op::alibi_slope;
use crate::op::scalar::Scalar;
use crate::par;
use crate::validate::Inputs;
use std::ops::Range;

/// Rows that a thread takes at a time.
const BLOCK: usize = 64;

/// How a kernel goes through the keys (Dao, arXiv 2307.08691; splits as in Flash-Decoding).
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Keys of a tile.
    pub tile: usize,
    /// Parts of the keys that are computed apart and merged.
    pub splits: usize,
    /// Format that probabilities are rounded to before they meet the values.
    pub probabilities: Option<Float>,
    /// Format of the output.
    pub output: Option<Float>,
    /// Format that keys and values of a quantized cache are rounded to as numbers.
    pub cache: Option<Float>,
    /// What is done wrong.
    pub bugs: Bugs,
}

/// Sums of a part of the keys.
struct Part<S> {
    max: S,
    sum: S,
    out: Vec<S>,
}

fn rounded<S: Scalar>(format: Option<Float>, x: S) -> S {
    format.map_or(x, |f| S::constant(f.round(x.value(), Overflow::Special)))
}

impl Schedule {
    /// Tiles of 32 keys in one part, nothing rounded, nothing wrong.
    pub const PLAIN: Self = Self {
        tile: 32,
        splits: 1,
        probabilities: None,
        output: None,
        cache: None,
        bugs: Bugs::NONE,
    };

    /// The output, `[batch, queries, heads, value_dim]`, of the case's inputs.
    pub fn run<S: Scalar + Sync>(&self, case: &Attention, inputs: &Inputs) -> Vec<f64> {
        self.whole(case, self.rows::<S>(case, inputs, &case.rows().collect::<Vec<_>>()))
    }

    /// The whole output from its rows.
    pub(super) fn whole(&self, case: &Attention, rows: Vec<f64>) -> Vec<f64> {
        match self.bugs.written {
            Some(written) => written(case, rows),
            None => rows,
        }
    }

    /// Some rows (one head of one token) of what is written, one behind the other.
    pub fn rows<S: Scalar + Sync>(
        &self,
        case: &Attention,
        inputs: &Inputs,
        rows: &[usize],
    ) -> Vec<f64> {
        let inputs = self.given(case, inputs);
        let of = |x: &[f64]| -> Vec<S> { x.iter().map(|&x| S::constant(x)).collect() };
        let cached = |name| -> Vec<S> {
            of(inputs.of(name)).into_iter().map(|x| rounded(self.cache, x)).collect()
        };
        let (q, k, v) = (of(inputs.of("q")), cached("k"), cached("v"));
        let [dim, of_values] = [case.head_dim, case.value_dim()].map(|n| n as usize);
        let [heads, kv_heads] = [case.heads, case.kv_heads].map(|n| n as usize);
        let [queries, keys] = [case.seq, case.keys()].map(|n| n as usize);
        let each = |&row: &usize| {
            let row = self.bugs.source(case, row);
            let (h, i, b) = (row % heads, row / heads % queries, row / heads / queries);
            let kv = (self.bugs.head)(case, h);
            let at = |key: usize| (b * keys + key) * kv_heads + kv;
            let query = &q[row * dim..][..dim];
            let score =
                |key: usize| self.score(case, query, &k[at(key) * dim..][..dim], (h, i, key));
            let sink = self.sink(case, &inputs, h).map(S::constant);
            let value = |key: usize| &v[at(key) * of_values..][..of_values];
            let row = self.row(case, i, &score, &value, sink);
            row.into_iter().map(|x| rounded(self.output, x).value()).collect::<Vec<f64>>()
        };
        let blocks: Vec<&[usize]> = rows.chunks(BLOCK).collect();
        par::map(&blocks, |rows| rows.iter().flat_map(each).collect::<Vec<f64>>()).concat()
    }

    /// The sink that joins a head's sum.
    pub(super) fn sink(&self, case: &Attention, inputs: &Inputs, h: usize) -> Option<f64> {
        (case.sinks && self.bugs.sinks).then(|| inputs.of("sinks")[h])
    }

    fn score<S: Scalar>(
        &self,
        case: &Attention,
        query: &[S],
        key: &[S],
        (h, i, position): (usize, usize, usize),
    ) -> S {
        let dot = query
            .iter()
            .zip(key)
            .fold(S::constant(0.0), |sum, (&q, &k)| rounded(self.bugs.sums, sum + q * k));
        self.finish(case, dot, (h, i, position))
    }

    /// From a dot product to a score.
    pub(super) fn finish<S: Scalar>(
        &self,
        case: &Attention,
        dot: S,
        (h, i, position): (usize, usize, usize),
    ) -> S {
        let score = dot * S::constant(case.scale() * (self.bugs.scale)(case));
        let score = match case.softcap.filter(|_| self.bugs.softcap) {
            Some(c) => (score * S::constant(1.0 / c)).tanh() * S::constant(c),
            None => score,
        };
        if !(case.alibi && self.bugs.alibi) {
            return score;
        }
        let distance = (case.keys() as f64 - case.seq as f64) + i as f64 - position as f64;
        score - S::constant(alibi_slope(h as u64, case.heads) * distance)
    }

    /// Keys that query `i` sees.
    pub(super) fn visible(&self, case: &Attention, i: usize) -> Range<usize> {
        let (keys, past) = (case.keys() as i64, case.keys() as i64 - case.seq as i64);
        let masked = !case.non_causal || self.bugs.causal;
        if self.bugs.unmasked || !masked {
            return 0..keys as usize;
        }
        let own = i as i64 + 1 + if self.bugs.top_left { 0 } else { past };
        let end = (own + self.bugs.shift).clamp(0, keys);
        let first = (self.bugs.window)(case).map_or(0, |w| (own - w as i64).max(0));
        first.min(end) as usize..end as usize
    }

    /// The tiles of each split that are read.
    pub(super) fn splits(&self, case: &Attention) -> impl Iterator<Item = Range<usize>> + use<> {
        let tiles = (case.keys() as usize).div_ceil(self.tile);
        let read = if self.bugs.short { tiles - 1 } else { tiles };
        let each = tiles.div_ceil(self.splits);
        (0..self.splits).map(move |split| split * each..((split + 1) * each).min(read))
    }

    fn row<'a, S: Scalar>(
        &self,
        case: &Attention,
        i: usize,
        score: &dyn Fn(usize) -> S,
        value: &dyn Fn(usize) -> &'a [S],
        sink: Option<S>,
    ) -> Vec<S> {
        let (seen, dim) = (self.visible(case, i), case.value_dim() as usize);
        let keys = case.keys() as usize;
        let tiles = keys.div_ceil(self.tile);
        let mut parts = vec![];
        for split in self.splits(case) {
            let none = S::constant(f64::NEG_INFINITY);
            let zero = S::constant(0.0);
            let mut part = Part { max: none, sum: zero, out: vec![zero; dim] };
            for tile in split {
                let range = tile * self.tile..((tile + 1) * self.tile).min(keys);
                let keys = range.filter(|key| seen.contains(key));
                let mut pairs: Vec<(Option<usize>, S)> =
                    keys.map(|key| (Some(key), score(key))).collect();
                if self.bugs.padded && tile + 1 == tiles {
                    pairs.extend(vec![(None, zero); tiles * self.tile - case.keys() as usize]);
                }
                self.tile(&mut part, &pairs, value);
            }
            if part.sum > zero {
                parts.push(part);
            }
        }
        self.merged(parts, sink, dim)
    }

    pub(super) fn exp<S: Scalar>(&self, x: S) -> S {
        if self.bugs.base2 { (x * S::constant(std::f64::consts::LN_2)).exp() } else { x.exp() }
    }

    fn tile<'a, S: Scalar>(
        &self,
        part: &mut Part<S>,
        pairs: &[(Option<usize>, S)],
        value: &dyn Fn(usize) -> &'a [S],
    ) {
        let max = pairs.iter().fold(part.max, |max, &(_, s)| max.maximum(s));
        if pairs.is_empty() {
            return;
        }
        let started = part.sum > S::constant(0.0);
        if started && !self.bugs.unscaled {
            let factor = self.exp(part.max - max);
            part.sum = part.sum * factor;
            part.out.iter_mut().for_each(|o| *o = *o * factor);
        }
        part.max = max;
        for &(key, score) in pairs {
            let p = self.exp(score - max);
            part.sum = rounded(self.bugs.sums, part.sum + p);
            let p = rounded(self.probabilities, p);
            if let Some(key) = key {
                for (o, &x) in part.out.iter_mut().zip(value(key)) {
                    *o = rounded(self.bugs.sums, *o + p * x);
                }
            }
        }
    }

    fn merged<S: Scalar>(&self, parts: Vec<Part<S>>, sink: Option<S>, dim: usize) -> Vec<S> {
        let zero = S::constant(0.0);
        let maxima = parts.iter().map(|p| p.max).chain(sink);
        let Some(max) = maxima.reduce(S::maximum) else { return vec![zero; dim] };
        let mut out = vec![zero; dim];
        if self.bugs.averaged {
            let count = S::constant(1.0 / parts.len().max(1) as f64);
            for part in &parts {
                let terms = out.iter_mut().zip(&part.out);
                terms.for_each(|(o, &x)| *o = *o + x / part.sum * count);
            }
            return out;
        }
        let mut sum = sink.map_or(zero, |sink| self.exp(sink - max));
        for part in &parts {
            let factor = self.exp(part.max - max);
            sum = sum + part.sum * factor;
            out.iter_mut().zip(&part.out).for_each(|(o, &x)| *o = *o + x * factor);
        }
        let inverse = S::constant(1.0) / sum;
        out.into_iter().map(|o| o * inverse).collect()
    }
}
