//! Cases of attention: the truth by the graph's operators, schedules with known bugs.

mod mutants;
mod operators;
mod paged;
mod products;
mod schedule;

pub use mutants::{BUGS, Bug};
pub use schedule::{Bugs, Schedule};

use super::dtype::Dtype;
use super::evaluate::Evaluated;
use super::random::Random;
use crate::tensor::{Mask, Step, StepError};
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
    /// Elements of a head
    #[arg(long, default_value = "32")]
    pub head_dim: u64,
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

impl Attention {
    /// Positions of a sequence.
    pub fn keys(&self) -> u64 {
        self.kv_seq.unwrap_or(self.seq.saturating_add(130))
    }

    fn step(&self) -> Result<Step, StepError> {
        match self.non_causal {
            true => Step::prefill(self.batch, self.seq)?.with_source(self.keys()),
            false => Step::chunked(self.batch, self.seq, self.keys() - self.seq),
        }
    }

    /// The operators' mask.
    pub const fn mask(&self) -> Mask {
        match self.window {
            _ if self.non_causal => Mask::Cross,
            Some(window) => Mask::Sliding { window },
            None => Mask::Causal,
        }
    }

    /// What scores are multiplied with.
    pub fn scale(&self) -> f64 {
        self.scale.unwrap_or_else(|| self.usual_scale())
    }

    /// `1 / sqrt(head_dim)`.
    fn usual_scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }

    /// Extents of queries and output.
    pub const fn query_shape(&self) -> [u64; 4] {
        [self.batch, self.seq, self.heads, self.head_dim]
    }

    /// Extents of keys and of values.
    pub fn key_shape(&self) -> [u64; 4] {
        [self.batch, self.keys(), self.kv_heads, self.head_dim]
    }

    /// Rows of the output: the heads of every new token.
    pub(super) fn rows(&self) -> std::ops::Range<usize> {
        0..(self.batch * self.seq * self.heads) as usize
    }

    fn layout(&self, name: &str, says: &'static str, shape: [u64; 4]) -> Layout {
        let [batch, tokens, heads, dim] = shape;
        let (of_tokens, of_heads) = match name {
            "q" | "out" => ("token", "head"),
            _ => ("position", "key head"),
        };
        let axes = [("sequence", batch), (of_tokens, tokens), (of_heads, heads), ("element", dim)];
        Layout::new(name, says, axes, self.dtype.stored())
    }
}

impl Case for Attention {
    fn check(&self) -> Result<(), CaseError> {
        let Self { heads, kv_heads, head_dim, batch, seq, .. } = *self;
        let mut named = vec![("heads", heads), ("kv_heads", kv_heads), ("head_dim", head_dim)];
        named.extend([("batch", batch), ("seq", seq), ("kv_seq", self.keys())]);
        named.extend(self.window.map(|w| ("window", w)));
        named.extend(self.block.map(|b| ("block", b)));
        let work: f64 =
            [heads, head_dim, batch, seq, self.keys()].map(|n| n as f64).iter().product();
        sizes(&named, 2.0 * work)?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(CaseError::Heads { heads, kv_heads });
        }
        if self.non_causal && (self.window.is_some() || self.alibi) {
            let why = "windows and ALiBi are of causal attention".to_owned();
            return Err(CaseError::Number(why));
        }
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
        format!(
            "attention, {heads} query and {kv_heads} key heads of {head_dim}, {seq} tokens {place} {keys}, \
             batch {batch}, {dtype}"
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
            random.array(self.layout("k", "keys", self.key_shape())),
            random.array(self.layout("v", "values, as keys", self.key_shape())),
        ];
        if self.sinks {
            let says = "a score per head that joins the sum";
            let axes = [("head", self.heads)];
            arrays.push(random.array(Layout::new("sinks", says, axes, self.dtype.stored())));
        }
        self.in_blocks(&mut random, Inputs(arrays))
    }

    fn outputs(&self) -> Vec<Output> {
        let layout = self.layout("out", "the output", self.query_shape());
        vec![Output { layout, discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        let inputs = self.contiguous(inputs, Walk::Right);
        self.in_precision(&inputs, precision)
    }

    /// Tiles of 64 keys.
    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        let format = Some(self.dtype.float());
        let tiled = Schedule { tile: 64, probabilities: format, output: format, ..Schedule::PLAIN };
        vec![vec![tiled.run::<f32>(self, &self.contiguous(inputs, Walk::Right))]]
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        mutants::of(self)
    }

    fn usual(&self) -> Usual {
        let multiple = if self.softcap.is_some() { 3.0 } else { 2.0 };
        Usual { nmse: 5e-4, multiple, ..Usual::PLAIN }
    }
}

#[cfg(test)]
mod tests;
