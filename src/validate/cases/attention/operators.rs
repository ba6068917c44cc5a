//! The graph's operators on a case: a key head of some queries at a time, on all cores.

use super::super::evaluate::{Evaluated, of, rounded, run, values};
use super::Attention;
use crate::exec;
use crate::op::scalar::Scalar;
use crate::op::{Operand, ScoreBias, Scores, Softmax, WeightedSum};
use crate::par;
use crate::tensor::{Mask, Step};
use crate::validate::{Inputs, Outputs, Precision, Stored};
use std::ops::Range;

/// Scores of a part at most, where a query has no more.
const SCORES: usize = 1 << 20;

/// Queries of a part at most.
const QUERIES: usize = 64;

/// Some queries of a sequence, in the heads that share a key head.
struct Part {
    sequence: usize,
    kv: usize,
    queries: Range<usize>,
}

impl Attention {
    /// The operators of heads from `first` on that share so many key heads.
    fn operators(&self, heads: u64, kv_heads: u64, first: u64) -> (Scores, Softmax, WeightedSum) {
        let (mask, head_dim) = (self.mask(), self.head_dim);
        let scores = Scores {
            heads,
            kv_heads,
            head_dim,
            mask,
            scale: self.scale(),
            softcap: self.softcap,
            bias: self.alibi.then_some(ScoreBias::AlibiShare { first, of: self.heads }),
        };
        let softmax = Softmax { heads, mask, sinks: self.sinks };
        let head_dim = self.value_dim();
        (scores, softmax, WeightedSum { heads, kv_heads, head_dim, mask, expanded: false })
    }

    /// Query heads of a key head.
    fn group(&self) -> usize {
        (self.heads / self.kv_heads) as usize
    }

    /// The output in f64, by the executor's kernels.
    fn exact(&self, inputs: &Inputs) -> Vec<f64> {
        let step = self.step().expect("invariant: a checked case has a step");
        let (scores, softmax, sum) = self.operators(self.heads, self.kv_heads, 0);
        let [of_q, of_k] = [self.heads, self.kv_heads].map(|n| (n * self.head_dim) as usize);
        let of_v = (self.kv_heads * self.value_dim()) as usize;
        let mut operands = vec![("q", of_q), ("k", of_k)];
        operands.extend(self.sinks.then_some(("sinks", self.heads as usize)));
        operands.push(("v", of_v));
        let operand = |&(name, width): &(&str, usize)| Operand::new(inputs.of(name), width);
        let operands: Vec<Operand<'_, f64>> = operands.iter().map(operand).collect();
        let out = exec::attend((&scores, &softmax, &sum), &step, &operands);
        out.expect("invariant: the mask of a case has tiles")
    }

    fn parts(&self) -> Vec<Part> {
        let [batch, kv_heads, seq] = [self.batch, self.kv_heads, self.seq].map(|n| n as usize);
        let most = SCORES / (self.keys() as usize * self.group());
        let each = most.clamp(1, QUERIES);
        let mut parts = vec![];
        for (sequence, kv) in (0..batch).flat_map(|s| (0..kv_heads).map(move |kv| (s, kv))) {
            let queries = (0..seq).step_by(each).map(|i| i..(i + each).min(seq));
            parts.extend(queries.map(|queries| Part { sequence, kv, queries }));
        }
        parts
    }

    /// Positions of the keys that a part sees, and its step over them.
    fn seen(&self, queries: &Range<usize>) -> (Range<usize>, Step) {
        let (keys, new) = (self.keys() as usize, queries.len() as u64);
        let past = (self.keys() as usize).saturating_sub(self.seq as usize);
        let (seen, step) = match self.mask() {
            Mask::Cross => {
                let step = Step::prefill(1, new).and_then(|s| s.with_source(self.keys()));
                (0..keys, step)
            }
            mask => {
                let own = past + queries.start;
                let first = match mask {
                    Mask::Sliding { window } => (own + 1).saturating_sub(window as usize),
                    _ => 0,
                };
                let step = Step::chunked(1, new, (own - first) as u64);
                (first..past + queries.end, step)
            }
        };
        (seen, step.expect("invariant: a part of a checked case has a step"))
    }

    /// The output of a part, `[queries, heads of the key head, value_dim]`.
    fn part<S: Scalar>(&self, part: &Part, inputs: &Inputs, format: Option<Stored>) -> Vec<f64> {
        let group = self.group();
        let [dim, of_values] = [self.head_dim, self.value_dim()].map(|n| n as usize);
        let (seen, step) = self.seen(&part.queries);
        let (scores, softmax, sum) = self.operators(group as u64, 1, (part.kv * group) as u64);
        let rows =
            |(name, dim): (&str, usize), rows: &Range<usize>, heads: Range<usize>| -> Vec<S> {
                let (all, tokens) = match name {
                    "q" => (self.heads, self.seq),
                    _ => (self.kv_heads, self.keys()),
                };
                let row = |t: usize| (part.sequence * tokens as usize + t) * all as usize;
                let own = |t: usize| {
                    &inputs.of(name)[(row(t) + heads.start) * dim..(row(t) + heads.end) * dim]
                };
                of(&rows.clone().flat_map(own).copied().collect::<Vec<f64>>())
            };
        let heads = part.kv * group..(part.kv + 1) * group;
        let q = rows(("q", dim), &part.queries, heads.clone());
        let [k, v] = [("k", dim), ("v", of_values)].map(|of| rows(of, &seen, part.kv..part.kv + 1));
        let sinks: Vec<S> = if self.sinks { of(&inputs.of("sinks")[heads]) } else { vec![] };
        let pairs = step.pairs(self.mask()) as usize;
        let s = run(&scores, &step, &[(&q, group * dim), (&k, dim)], (pairs, group));
        let operands: [(&[S], usize); 2] = [(&s, group), (&sinks, group)];
        let p = run(&softmax, &step, &operands[..1 + usize::from(self.sinks)], (pairs, group));
        let p = rounded(format, p);
        let shape = (part.queries.len(), group * of_values);
        let out = run(&sum, &step, &[(&p, group), (&v, of_values)], shape);
        values(&rounded(format, out))
    }
}

impl Evaluated for Attention {
    fn format(&self) -> Stored {
        self.dtype.stored()
    }

    fn evaluated<S: Scalar>(&self, inputs: &Inputs, format: Option<Stored>) -> Vec<f64> {
        let parts = self.parts();
        let made = par::map(&parts, |part| self.part::<S>(part, inputs, format));
        let [seq, heads, dim] = [self.seq, self.heads, self.value_dim()].map(|n| n as usize);
        let width = self.group() * dim;
        let mut out = vec![0.0; self.out_elements()];
        for (part, made) in parts.iter().zip(made) {
            for (i, row) in part.queries.clone().zip(made.chunks_exact(width)) {
                let first = (part.sequence * seq + i) * heads * dim + part.kv * width;
                out[first..first + width].copy_from_slice(row);
            }
        }
        out
    }

    fn in_precision(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        vec![match precision {
            Precision::Exact => self.exact(inputs),
            Precision::Kernel => self.evaluated::<f32>(inputs, Some(self.format())),
        }]
    }
}
