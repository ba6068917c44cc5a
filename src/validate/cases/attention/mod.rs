//! Cases of attention: the truth by the graph's operators, schedules with known bugs.

mod bugs;
mod cache;
mod given;
mod idle;
mod memory;
mod mutants;
mod operators;
mod orders;
mod paged;
mod products;
mod schedule;
mod shape;

pub use bugs::Bugs;
pub use cache::Reading;
pub(super) use memory::heads_first;
pub use mutants::Bug;
pub use schedule::Schedule;

use super::cache_format::CacheFormat;
use super::codes::Codes;
use super::dtype::Dtype;
use super::evaluate::Evaluated;
use super::random::Random;
use crate::validate::case::sizes;
use crate::validate::{Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Usual};
use paged::Walk;
use serde::{Deserialize, Serialize};

/// Attention of new tokens at the end of a sequence: causal, bottom-right aligned. The defaults show every
/// known bug that can be seen.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// Query heads
    #[arg(long, default_value = "8")]
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
    /// Sequences
    #[arg(long, default_value = "2")]
    pub batch: u64,
    /// New tokens of a sequence (Tq); 1 is a decode step
    #[arg(long, default_value = "20")]
    pub seq: u64,
    /// Positions of a sequence (Tkv), the new tokens the last of them; seq + 130 unless given
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_seq: Option<u64>,
    /// Sliding window: keys that a query sees at most
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// Every query sees every key: encoders, cross-attention
    #[arg(long)]
    #[serde(default)]
    pub non_causal: bool,
    /// Tokens of a block: keys and values lie in a paged cache, behind a block table
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// Format of the cache
    #[command(flatten)]
    #[serde(default, skip_serializing_if = "CacheFormat::is_plain")]
    pub kv: CacheFormat,
    /// Soft cap of the scores
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub softcap: Option<f64>,
    /// What scores are multiplied with; 1 / sqrt(head_dim) unless given
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Bias by distance
    #[arg(long)]
    #[serde(default)]
    pub alibi: bool,
    /// A learned score per head that joins the sum
    #[arg(long)]
    #[serde(default)]
    pub sinks: bool,
    /// Format of inputs, probabilities and output
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

impl Case for Attention {
    fn check(&self) -> Result<(), CaseError> {
        let Self { heads, kv_heads, head_dim, batch, seq, .. } = *self;
        let value_dim = self.value_dim();
        let mut named = vec![("heads", heads), ("kv_heads", kv_heads), ("head_dim", head_dim)];
        named.extend([("value_dim", value_dim), ("batch", batch), ("seq", seq)]);
        named.push(("kv_seq", self.keys()));
        named.extend(self.window.map(|w| ("window", w)));
        named.extend(self.block.map(|b| ("block", b)));
        let pairs: f64 = [heads, batch, seq, self.keys()].map(|n| n as f64).iter().product();
        sizes(&named, pairs * (head_dim as f64 + value_dim as f64))?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(CaseError::Heads { heads, kv_heads });
        }
        if self.non_causal && (self.window.is_some() || self.alibi) {
            let why = "windows and ALiBi are of causal attention".to_owned();
            return Err(CaseError::Number(why));
        }
        self.kv.check()?;
        if seq > self.keys() && !self.non_causal {
            return Err(CaseError::Keys { queries: seq, keys: self.keys() });
        }
        if self.softcap.is_some_and(|c| !(c > 0.0 && c.is_finite())) {
            return Err(CaseError::Number("softcap is not a finite number above 0".to_owned()));
        }
        if self.scale.is_some_and(|s| !(s > 0.0 && s.is_finite())) {
            return Err(CaseError::Number("scale is not a finite number above 0".to_owned()));
        }
        self.step().map(|_| ()).map_err(CaseError::Step)
    }

    fn title(&self) -> String {
        let Self { heads, kv_heads, head_dim, seq, batch, dtype, .. } = self;
        let keys = self.keys();
        let place = if self.non_causal { "over all of" } else { "at the end of" };
        let values = self.value_dim.map_or(String::new(), |dim| format!(", values of {dim}"));
        let cache = self.kv.title("over a cache in");
        format!(
            "attention, {heads} query and {kv_heads} key heads of {head_dim}{values}, {seq} tokens {place} \
             {keys}, batch {batch}, {dtype}{cache}"
        )
    }

    fn conventions(&self) -> Vec<String> {
        let mut lines = match self.non_causal {
            true => vec!["Every token sees every key.".to_owned()],
            false => vec![
                format!("Token i of a sequence is at position {} + i.", self.keys() - self.seq),
                "It sees the keys up to and including its own position.".to_owned(),
            ],
        };
        lines.extend([
            format!("Scores are scaled by {}.", self.scale()),
            "Query head h reads key head h / (heads / kv_heads).".to_owned(),
        ]);
        lines.extend(self.cache_says());
        lines.extend(self.block.map(|b| {
            format!(
                "The key at position p of sequence s is in block block_table[s, p / {b}], at place p % {b}; \
                 places beyond position {} hold other numbers.",
                self.keys() - 1
            )
        }));
        lines.extend(self.window.map(|w| format!("A token sees the last {w} of those keys.")));
        lines.extend(self.softcap.map(|c| format!("Scores are capped: {c} tanh(s / {c}).")));
        if self.alibi {
            let line = "The distance to the key times the head's ALiBi slope is subtracted.";
            lines.push(line.to_owned());
        }
        lines
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let mut arrays = vec![
            random.array(self.layout("q", "queries", self.query_shape())),
            self.kv.random(&mut random, self.layout("k", "keys", self.key_shape())),
            self.kv.random(&mut random, self.layout("v", "values", self.value_shape())),
        ];
        if self.sinks {
            let says = "a score per head that joins the sum";
            let axes = [("head", self.heads)];
            arrays.push(random.array(Layout::new("sinks", says, axes, self.dtype.stored())));
        }
        arrays.extend(self.scale_arrays(&mut random));
        self.in_blocks(&mut random, Inputs(arrays))
    }

    fn outputs(&self) -> Vec<Output> {
        let layout = self.layout("out", "the output", self.out_shape());
        vec![Output { layout, discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        let inputs = self.contiguous(inputs, Walk::Right);
        self.in_precision(&self.dequantized(&inputs, Reading::Right), precision)
    }

    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        orders::of(self, inputs)
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        mutants::of(self)
    }

    fn usual(&self) -> Usual {
        let capped = if self.softcap.is_some() { 3.0 } else { 2.0 };
        let narrow = self.kv.dtype.is_some_and(Codes::is_float);
        let multiple = if narrow { 4.0 } else { capped };
        Usual { nmse: 5e-4, multiple, ..Usual::PLAIN }
    }
}

#[cfg(test)]
mod tests;
