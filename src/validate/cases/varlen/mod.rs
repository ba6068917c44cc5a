//! Cases of attention over sequences of other lengths each, packed one behind the other.

use super::attention::Attention;
use super::cache_format::CacheFormat;
use super::dtype::Dtype;
use super::random::Random;
use crate::formats::Kind;
use crate::validate::case::sizes;
use crate::validate::{
    Array, Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored, Usual,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Attention of packed sequences (`cu_seqlens` of FlashAttention's varlen functions): causal, bottom-right
/// aligned in each sequence.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VarlenCase {
    /// Query heads
    #[arg(long, default_value = "4")]
    pub heads: u64,
    /// Key and value heads
    #[arg(long, default_value = "2")]
    pub kv_heads: u64,
    /// Elements of a query's or key's head
    #[arg(long, default_value = "32")]
    pub head_dim: u64,
    /// Elements of a value's head; as of a key's unless given
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_dim: Option<u64>,
    /// New tokens of each sequence; 1 is a decode step
    #[arg(long, value_delimiter = ',', default_value = "20,1,37")]
    pub queries: Vec<u64>,
    /// Positions of each sequence, the new tokens the last of them
    #[arg(long, value_delimiter = ',', default_value = "150,70,137")]
    pub keys: Vec<u64>,
    /// Sliding window: keys that a query sees at most
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// Format of the cache
    #[command(flatten)]
    #[serde(default, skip_serializing_if = "CacheFormat::is_plain")]
    pub kv: CacheFormat,
    /// Soft cap of the scores
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub softcap: Option<f64>,
    /// Bias by distance
    #[arg(long)]
    #[serde(default)]
    pub alibi: bool,
    /// Format of inputs, probabilities and output
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// First key row and number of key rows that a sequence is taken to have.
type Keys = fn(&VarlenCase, usize) -> (u64, u64);

fn right(case: &VarlenCase, s: usize) -> (u64, u64) {
    (VarlenCase::first(&case.keys, s), case.keys[s])
}

/// Known bugs of the bounds of sequences.
const BOUNDS: &[(&str, &str, Keys)] = &[
    ("sequences-joined", "keys of the sequences before are seen too", |c, s| {
        (0, VarlenCase::first(&c.keys, s + 1))
    }),
    ("key-offset-missing", "every sequence reads keys from the first row on", |c, s| {
        (0, c.keys[s])
    }),
    ("key-offset-plus-1", "keys are read one row too late", |c, s| {
        (VarlenCase::first(&c.keys, s) + 1, c.keys[s])
    }),
    ("key-offset-of-queries", "cu_seqlens_q is taken for cu_seqlens_k", |c, s| {
        (VarlenCase::first(&c.queries, s), c.keys[s])
    }),
    ("key-offset-padded", "sequences are taken to be padded to the longest", |c, s| {
        (s as u64 * c.keys.iter().copied().max().unwrap_or(0), c.keys[s])
    }),
    ("length-of-longest", "every sequence is taken to be as long as the longest", |c, s| {
        (VarlenCase::first(&c.keys, s), c.keys.iter().copied().max().unwrap_or(0))
    }),
];

/// Arrays that all sequences share.
const SCALES: [&str; 2] = ["k_scale", "v_scale"];

/// Bugs of what no case here has.
const ELSEWHERE: [&str; 3] = ["sinks-missing", "causal-by-mistake", "scale-usual"];

impl VarlenCase {
    /// Tokens before sequence `s`: `cu_seqlens[s]`.
    fn first(lengths: &[u64], s: usize) -> u64 {
        lengths[..s].iter().sum()
    }

    /// The attention of one sequence alone, over so many keys.
    fn part(&self, s: usize, keys: u64) -> Attention {
        Attention {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            value_dim: self.value_dim,
            batch: 1,
            seq: self.queries[s],
            kv_seq: Some(keys),
            window: self.window,
            non_causal: false,
            block: None,
            kv: self.kv,
            softcap: self.softcap,
            scale: None,
            alibi: self.alibi,
            sinks: false,
            dtype: self.dtype,
            seed: self.seed,
        }
    }

    /// The array of attention without its axis of sequences.
    fn packed(&self, layout: Layout, lengths: &[u64]) -> Layout {
        let mut axes = layout.axes[1..].to_vec();
        axes[0].1 = lengths.iter().sum();
        Layout { axes, ..layout }
    }

    fn bounds(name: &str, says: &'static str, lengths: &[u64]) -> Array {
        let values = (0..=lengths.len()).map(|s| Self::first(lengths, s) as f64).collect();
        let axes = [("sequence", lengths.len() as u64 + 1)];
        Array { layout: Layout::new(name, says, axes, Stored::Integer(Kind::I32)), values }
    }

    /// Each sequence on its own, the outputs one behind the other.
    fn each<T>(
        &self,
        inputs: &Inputs,
        keys: Keys,
        attend: impl Fn(&Attention, &Inputs) -> Vec<T>,
    ) -> Vec<T> {
        let rows = |name: &str, width: u64, range: Range<u64>| -> Vec<f64> {
            let (values, width) = (inputs.of(name), width as usize);
            let last = values.len() / width - 1;
            let row = |r: u64| &values[(r as usize).min(last) * width..][..width];
            range.flat_map(|r| row(r).iter().copied()).collect()
        };
        let sequence = |s: usize| {
            let (first, length) = keys(self, s);
            let part = self.part(s, length);
            let new = Self::first(&self.queries, s)..Self::first(&self.queries, s + 1);
            let own = first..first + length;
            let array = |name: &str, says, shape: [u64; 4], range: Range<u64>| {
                let values = rows(name, shape[2] * shape[3], range);
                Array { layout: part.layout(name, says, shape), values }
            };
            let mut arrays = vec![
                array("q", "queries", part.query_shape(), new),
                array("k", "keys", part.key_shape(), own.clone()),
                array("v", "values", part.value_shape(), own),
            ];
            let scales = inputs.0.iter().filter(|a| SCALES.contains(&a.layout.name.as_str()));
            arrays.extend(scales.cloned());
            let alone = Inputs(arrays);
            attend(&part, &alone)
        };
        (0..self.queries.len()).flat_map(sequence).collect()
    }
}

impl Case for VarlenCase {
    fn check(&self) -> Result<(), CaseError> {
        let (new, all) = (self.queries.len(), self.keys.len());
        if new != all || new == 0 {
            let why =
                format!("{new} lengths in queries, {all} in keys; each sequence has one of both");
            return Err(CaseError::Number(why));
        }
        let named = self.queries.iter().map(|&n| ("queries", n));
        let named: Vec<_> = named.chain(self.keys.iter().map(|&n| ("keys", n))).collect();
        let pairs: f64 =
            self.queries.iter().zip(&self.keys).map(|(&q, &k)| q as f64 * k as f64).sum();
        let widths = self.head_dim as f64 + self.value_dim.unwrap_or(self.head_dim) as f64;
        sizes(&named, pairs * self.heads as f64 * widths)?;
        (0..new).try_for_each(|s| self.part(s, self.keys[s]).check())
    }

    fn title(&self) -> String {
        let Self { heads, kv_heads, head_dim, queries, keys, dtype, .. } = self;
        let values = self.value_dim.map_or(String::new(), |dim| format!(", values of {dim}"));
        let cache = self.kv.title("over a cache in");
        let listed = |of: &[u64]| of.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        format!(
            "attention of packed sequences, {heads} query and {kv_heads} key heads of {head_dim}{values}, {} \
             tokens at the end of {}, {dtype}{cache}",
            listed(queries),
            listed(keys)
        )
    }

    fn conventions(&self) -> Vec<String> {
        let mut lines = vec![
            "Sequence s has the rows cu_seqlens_q[s] to cu_seqlens_q[s + 1] - 1 of q and of the output, and \
             those of cu_seqlens_k of k and v."
                .to_owned(),
            "Its tokens are its last positions: token i sees its keys up to and including that at \
             keys - tokens + i."
                .to_owned(),
        ];
        let of_a_sequence = self.part(0, self.keys[0]).conventions();
        lines.extend(of_a_sequence.into_iter().skip(2));
        lines
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let one = self.part(0, self.keys[0]);
        let q = self.packed(one.layout("q", "queries", one.query_shape()), &self.queries);
        let k = self.packed(one.layout("k", "keys", one.key_shape()), &self.keys);
        let v = self.packed(one.layout("v", "values", one.value_shape()), &self.keys);
        let mut arrays = vec![
            random.array(q),
            one.kv.random(&mut random, k),
            one.kv.random(&mut random, v),
            Self::bounds(
                "cu_seqlens_q",
                "first token of each sequence, and their number",
                &self.queries,
            ),
            Self::bounds(
                "cu_seqlens_k",
                "first key of each sequence, and their number",
                &self.keys,
            ),
        ];
        arrays.extend(one.scale_arrays(&mut random));
        Inputs(arrays)
    }

    fn outputs(&self) -> Vec<Output> {
        let one = self.part(0, self.keys[0]);
        let layout = self.packed(one.layout("out", "the output", one.out_shape()), &self.queries);
        vec![Output { layout, discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        vec![self.each(inputs, right, |part, alone| part.eval(alone, precision).concat())]
    }

    /// Those of each sequence; the first again where a sequence has fewer than another.
    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        let parts: Vec<Vec<Vec<f64>>> = self.each(inputs, right, |part, alone| {
            vec![part.orders(alone).into_iter().map(|outputs| outputs.concat()).collect()]
        });
        let count = parts.iter().map(Vec::len).max().unwrap_or(0);
        let of = |at: usize| parts.iter().flat_map(|p| p[at % p.len()].iter().copied()).collect();
        (0..count).map(|at| vec![of(at)]).collect()
    }

    /// Those of attention, in every sequence, and those of the bounds.
    fn mutants(&self) -> Vec<Mutant<'_>> {
        let one = self.part(0, self.keys[0]);
        let named = one.mutants().into_iter().map(|m| (m.name, m.says, m.form)).enumerate();
        let own = named.filter(|(_, (name, ..))| !ELSEWHERE.contains(name));
        let own: Vec<_> = own.collect();
        let own = own.into_iter().map(|(at, (name, says, form))| {
            let run = move |inputs: &Inputs, precision| {
                vec![self.each(inputs, right, |part, alone| {
                    (part.mutants()[at].run)(alone, precision).concat()
                })]
            };
            Mutant { form, ..Mutant::new(name, says, run) }
        });
        let bounds = BOUNDS.iter().map(|&(name, says, keys)| {
            Mutant::new(name, says, move |inputs, precision| {
                vec![self.each(inputs, keys, |part, alone| part.eval(alone, precision).concat())]
            })
        });
        own.chain(bounds).collect()
    }

    fn usual(&self) -> Usual {
        self.part(0, self.keys[0]).usual()
    }
}

#[cfg(test)]
mod tests;
