//! Cases of appending keys and values to a cache.

mod mutants;
mod place;
mod storing;

use super::attention::heads_first;
use super::cache_format::CacheFormat;
use super::dtype::Dtype;
use super::random::Random;
use crate::formats::Kind;
use crate::validate::case::sizes;
use crate::validate::{
    Array, Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use clap::ValueEnum;
use place::{Place, right};
use serde::{Deserialize, Serialize};
use storing::{Scaling, Writing};

/// New keys and values into a cache (paged: Kwon et al., arXiv 2309.06180).
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KvAppendCase {
    /// Key and value heads
    #[arg(long, default_value = "2")]
    pub kv_heads: u64,
    /// Elements of a head
    #[arg(long, default_value = "16")]
    pub head_dim: u64,
    /// Sequences
    #[arg(long, default_value = "3")]
    pub batch: u64,
    /// New tokens of a sequence; 1 is a decode step
    #[arg(long, default_value = "21")]
    pub seq: u64,
    /// Tokens of a sequence in the cache before; sequence b has b fewer
    #[arg(long, default_value = "37")]
    pub past: u64,
    /// Tokens of a block; of a contiguous cache, what its length is a multiple of
    #[arg(long, default_value = "16")]
    pub block: u64,
    /// Where tokens go
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub cache: CacheLayout,
    /// Format of the cache
    #[command(flatten)]
    #[serde(default, skip_serializing_if = "CacheFormat::is_plain")]
    pub kv: CacheFormat,
    /// Format of keys, values and, without kv-dtype, caches
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// Where tokens go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheLayout {
    /// To blocks, by the block table and the tokens before
    #[default]
    Table,
    /// To blocks, each token to a slot that it is given (vLLM's `slot_mapping`); -1 is padding
    Slots,
    /// To rows of the sequence's own, one behind the other
    Contiguous,
}

impl KvAppendCase {
    /// Columns of the block table: blocks of the longest sequence, and one to spare.
    fn blocks(&self) -> u64 {
        (self.past + self.seq).div_ceil(self.block) + 1
    }

    /// Rows of a cache.
    fn rows(&self) -> usize {
        (self.batch * self.blocks() * self.block) as usize
    }

    /// Tokens before the new ones.
    fn past_of(&self, b: usize) -> usize {
        (self.past as usize).saturating_sub(b)
    }

    fn layout(&self, name: &str, says: &'static str) -> Layout {
        let [first, second] = match self.cache {
            CacheLayout::Contiguous => {
                [("sequence", self.batch), ("position", self.blocks() * self.block)]
            }
            _ => [("block", self.batch * self.blocks()), ("place", self.block)],
        };
        let axes = [first, second, ("key head", self.kv_heads), ("element", self.head_dim)];
        Layout::new(name, says, axes, self.kv.stored(self.dtype))
    }

    /// The caches with rows written somewhere, in some way.
    fn appended(
        &self,
        inputs: &Inputs,
        (k, v): (&str, &str),
        (place, written): (Place, (Precision, Writing)),
    ) -> Outputs {
        let width = (self.kv_heads * self.head_dim) as usize;
        let of = |cache: &str, new: &str| {
            let (mut out, new) = (inputs.of(cache).to_vec(), self.stored(inputs, new, written));
            for (token, heads) in new.chunks_exact(width).enumerate() {
                let (b, t) = (token / self.seq as usize, token % self.seq as usize);
                if let Some(row) = place(self, inputs, b, t) {
                    out[row * width..][..width].copy_from_slice(heads);
                }
            }
            out
        };
        vec![of("k_cache", k), of("v_cache", v)]
    }

    /// `[tokens, heads, d]` read as `[heads, tokens, d]`, for each of so many tokens.
    fn heads_first(&self, values: &[f64], tokens: u64) -> Vec<f64> {
        let each = tokens * self.kv_heads * self.head_dim;
        heads_first(values, [values.len() as u64 / each, tokens, self.kv_heads, self.head_dim])
    }

    /// `[heads, tokens, d]` read as `[tokens, heads, d]`.
    fn tokens_first(&self, values: &[f64], tokens: u64) -> Vec<f64> {
        let turned = Self { kv_heads: tokens, ..self.clone() };
        turned.heads_first(values, self.kv_heads)
    }

    /// Caches taken for `[blocks, heads, places, d]`.
    fn caches_heads_first(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        let places = self.layout("", "").axes[1].1;
        let turned = |name: &str| self.heads_first(inputs.of(name), places);
        let inputs = inputs.with("k_cache", turned("k_cache")).with("v_cache", turned("v_cache"));
        let out = self.eval(&inputs, precision);
        out.iter().map(|cache| self.tokens_first(cache, places)).collect()
    }

    /// A slot for each token, -1 for some that are padding.
    fn slot_mapping(&self, table: Inputs) -> Array {
        let tokens = self.batch * self.seq;
        let axes = [("sequence", self.batch), ("token", self.seq)];
        let says = "row of the cache that a token goes to, counted over all blocks";
        let layout = Layout::new("slot_mapping", says, axes, Stored::Integer(Kind::I64));
        let slot = |token: u64| {
            let (b, t) = ((token / self.seq) as usize, (token % self.seq) as usize);
            let is_padding = token % 5 == 3 || (token > 0 && token + 1 == tokens);
            let row = place::row(self, &table, b, self.past_of(b) + t);
            if is_padding { -1.0 } else { row as f64 }
        };
        Array { layout, values: (0..tokens).map(slot).collect() }
    }

    /// What says where tokens go.
    fn places(&self, random: &mut Random) -> Vec<Array> {
        let stored = Stored::Integer(Kind::I32);
        let all: Vec<u64> = (0..self.batch * self.blocks()).collect();
        let axes = [("sequence", self.batch), ("block", self.blocks())];
        let layout = Layout::new("block_table", "physical blocks of each sequence", axes, stored);
        let values = random.distinct(&all, all.len()).into_iter().map(|b| b as f64).collect();
        let table = Array { layout, values };
        let layout =
            Layout::new("past", "tokens in the cache before", [("sequence", self.batch)], stored);
        let values = (0..self.batch as usize).map(|b| self.past_of(b) as f64).collect();
        let past = Array { layout, values };
        match self.cache {
            CacheLayout::Table => vec![table, past],
            CacheLayout::Slots => vec![self.slot_mapping(Inputs(vec![table]))],
            CacheLayout::Contiguous => vec![past],
        }
    }
}

impl Case for KvAppendCase {
    fn check(&self) -> Result<(), CaseError> {
        let Self { kv_heads, head_dim, batch, seq, past, block, .. } = *self;
        let named = [("kv_heads", kv_heads), ("head_dim", head_dim), ("batch", batch)];
        let past = past.saturating_add(1);
        sizes(&[&named[..], &[("seq", seq), ("block", block), ("past + 1", past)]].concat(), 1.0)?;
        self.kv.check()?;
        let slots = batch as f64 * self.blocks() as f64 * block as f64;
        sizes(&[], 100.0 * slots * (kv_heads * head_dim) as f64)
    }

    fn title(&self) -> String {
        let Self { kv_heads, head_dim, batch, seq, past, block, dtype, .. } = self;
        let place = match self.cache {
            CacheLayout::Table => format!("blocks of {block}"),
            CacheLayout::Slots => format!("slots in blocks of {block}"),
            CacheLayout::Contiguous => "contiguous".to_owned(),
        };
        let codes = self.kv.title("to");
        format!(
            "kv-append, {kv_heads} heads of {head_dim}, {seq} tokens behind {past}, batch {batch}, {place}, \
             {dtype}{codes}"
        )
    }

    fn conventions(&self) -> Vec<String> {
        let position = "Token t of sequence b is at position past[b] + t.".to_owned();
        let mut lines = match self.cache {
            CacheLayout::Table => vec![
                position,
                format!(
                    "Position p of sequence b is in block block_table[b, p / {0}], at place p % {0}.",
                    self.block
                ),
            ],
            CacheLayout::Slots => vec![format!(
                "Token t of sequence b goes to block slot_mapping[b, t] / {0}, place slot_mapping[b, t] % {0}; one \
                 whose slot is -1 goes nowhere.",
                self.block
            )],
            CacheLayout::Contiguous => vec![position],
        };
        lines.extend(self.kv.dtype.map(|codes| self.says(codes)));
        lines.push("Everything else in the caches stays as it is.".to_owned());
        lines
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let axes = [
            ("sequence", self.batch),
            ("token", self.seq),
            ("key head", self.kv_heads),
            ("element", self.head_dim),
        ];
        let new = |name, says| Layout::new(name, says, axes, self.dtype.stored());
        let mut arrays = vec![
            random.array(new("k", "new keys")),
            random.array(new("v", "new values")),
            self.kv.random(&mut random, self.layout("k_cache", "keys before")),
            self.kv.random(&mut random, self.layout("v_cache", "values before")),
        ];
        arrays.extend(self.places(&mut random));
        arrays.extend(self.scale_arrays(&mut random));
        Inputs(arrays)
    }

    fn outputs(&self) -> Vec<Output> {
        let caches = [("k_out", "keys behind"), ("v_out", "values behind")];
        caches
            .map(|(name, says)| Output { layout: self.layout(name, says), discrete: true })
            .to_vec()
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.appended(inputs, ("k", "v"), (right, (precision, Writing::RIGHT)))
    }

    /// Into codes also by the inverse of the scale.
    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        let writing = Writing { scaling: Scaling::ByInverse, ..Writing::RIGHT };
        let inverse = self
            .kv
            .dtype
            .map(|_| self.appended(inputs, ("k", "v"), (right, (Precision::Kernel, writing))));
        inverse.into_iter().collect()
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        mutants::of(self)
    }
}

#[cfg(test)]
mod tests;
