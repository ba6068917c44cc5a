//! Cases of appending keys and values to a paged cache.

use super::dtype::Dtype;
use super::random::Random;
use crate::formats::Kind;
use crate::validate::case::sizes;
use crate::validate::{
    Array, Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use serde::{Deserialize, Serialize};

/// New keys and values into the blocks of a paged cache (Kwon et al., arXiv 2309.06180).
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
    /// Tokens of a block
    #[arg(long, default_value = "16")]
    pub block: u64,
    /// Format of keys, values and cache
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// Where token `t` of sequence `b` goes: block and place in it, or nowhere.
type Slot = fn(&KvAppendCase, &Inputs, usize, usize) -> Option<(usize, usize)>;

fn slot(case: &KvAppendCase, inputs: &Inputs, b: usize, position: usize) -> (usize, usize) {
    let per_block = case.block as usize;
    let columns = case.blocks() as usize;
    let column = (position / per_block).min(columns - 1);
    (inputs.of("block_table")[b * columns + column] as usize, position % per_block)
}

fn right(case: &KvAppendCase, inputs: &Inputs, b: usize, t: usize) -> Option<(usize, usize)> {
    Some(slot(case, inputs, b, case.past_of(b) + t))
}

/// Known bugs of the place that a token is written to.
const BUGS: &[(&str, &str, Slot)] = &[
    ("slot-plus-1", "tokens are written one place too late", |c, i, b, t| {
        Some(slot(c, i, b, c.past_of(b) + t + 1))
    }),
    ("slot-minus-1", "tokens are written one place too early", |c, i, b, t| {
        Some(slot(c, i, b, (c.past_of(b) + t).saturating_sub(1)))
    }),
    ("past-missing", "positions start at 0: the past is overwritten", |c, i, b, t| {
        Some(slot(c, i, b, t))
    }),
    ("past-of-first", "every sequence has the past of the first", |c, i, b, t| {
        Some(slot(c, i, b, c.past_of(0) + t))
    }),
    ("table-plus-1", "the block table is read one entry too far", |c, i, b, t| {
        let at = c.past_of(b) + t;
        let next = slot(c, i, b, at + c.block as usize);
        Some((next.0, at % c.block as usize))
    }),
    ("table-ignored", "blocks are taken in their physical order", |c, i, b, t| {
        let (_, at) = right(c, i, b, t)?;
        Some((b * c.blocks() as usize + (c.past_of(b) + t) / c.block as usize, at))
    }),
    ("table-of-first", "every sequence has the block table of the first", |c, i, b, t| {
        Some(slot(c, i, 0, c.past_of(b) + t))
    }),
    ("stale-block", "the last block is not written: it stays as it was", |c, i, b, t| {
        let block_of = |t: usize| (c.past_of(b) + t) / c.block as usize;
        right(c, i, b, t).filter(|_| block_of(t) != block_of(c.seq as usize - 1))
    }),
];

impl KvAppendCase {
    /// Columns of the block table: blocks of the longest sequence, and one to spare.
    fn blocks(&self) -> u64 {
        (self.past + self.seq).div_ceil(self.block) + 1
    }

    /// Tokens before the new ones.
    fn past_of(&self, b: usize) -> usize {
        (self.past as usize).saturating_sub(b)
    }

    fn cache(&self, name: &str, says: &'static str) -> Layout {
        let axes = [
            ("block", self.batch * self.blocks()),
            ("place", self.block),
            ("key head", self.kv_heads),
            ("element", self.head_dim),
        ];
        Layout::new(name, says, axes, self.dtype.stored())
    }

    fn appended(&self, inputs: &Inputs, (k, v): (&str, &str), place: Slot) -> Outputs {
        let width = (self.kv_heads * self.head_dim) as usize;
        let written = |cache: &str, new: &str| {
            let (mut out, new) = (inputs.of(cache).to_vec(), inputs.of(new));
            for row in 0..(self.batch * self.seq) as usize {
                let (b, t) = (row / self.seq as usize, row % self.seq as usize);
                if let Some((block, at)) = place(self, inputs, b, t) {
                    let first = (block * self.block as usize + at) * width;
                    out[first..first + width].copy_from_slice(&new[row * width..][..width]);
                }
            }
            out
        };
        vec![written("k_cache", k), written("v_cache", v)]
    }

    /// `[tokens, heads, d]` read as `[heads, tokens, d]`.
    fn heads_first(&self, values: &[f64]) -> Vec<f64> {
        let [tokens, heads, dim] = [self.seq, self.kv_heads, self.head_dim].map(|n| n as usize);
        let of = |one: &[f64]| -> Vec<f64> {
            let at = |t: usize, h: usize| one[(h * tokens + t) * dim..][..dim].to_vec();
            (0..tokens).flat_map(|t| (0..heads).flat_map(move |h| at(t, h))).collect()
        };
        values.chunks_exact(tokens * heads * dim).flat_map(of).collect()
    }
}

impl Case for KvAppendCase {
    fn check(&self) -> Result<(), CaseError> {
        let Self { kv_heads, head_dim, batch, seq, past, block, .. } = *self;
        let named = [("kv_heads", kv_heads), ("head_dim", head_dim), ("batch", batch)];
        sizes(
            &[&named[..], &[("seq", seq), ("block", block), ("past + 1", past + 1)]].concat(),
            1.0,
        )?;
        let slots = batch as f64 * self.blocks() as f64 * block as f64;
        sizes(&[], 100.0 * slots * (kv_heads * head_dim) as f64)
    }

    fn title(&self) -> String {
        let Self { kv_heads, head_dim, batch, seq, past, block, dtype, .. } = self;
        format!(
            "kv-append, {kv_heads} heads of {head_dim}, {seq} tokens behind {past}, batch {batch}, blocks of \
             {block}, {dtype}"
        )
    }

    fn conventions(&self) -> Vec<String> {
        vec![
            "Token t of sequence b is at position past[b] + t.".to_owned(),
            format!(
                "Position p of sequence b is in block block_table[b, p / {0}], at place p % {0}.",
                self.block
            ),
            "Everything else in the caches stays as it is.".to_owned(),
        ]
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
            random.array(self.cache("k_cache", "keys before")),
            random.array(self.cache("v_cache", "values before")),
        ];
        let stored = Stored::Integer(Kind::I32);
        let all: Vec<u64> = (0..self.batch * self.blocks()).collect();
        let table = random.distinct(&all, all.len());
        let axes = [("sequence", self.batch), ("block", self.blocks())];
        let layout = Layout::new("block_table", "physical blocks of each sequence", axes, stored);
        arrays.push(Array { layout, values: table.into_iter().map(|b| b as f64).collect() });
        let layout =
            Layout::new("past", "tokens in the cache before", [("sequence", self.batch)], stored);
        let values = (0..self.batch as usize).map(|b| self.past_of(b) as f64).collect();
        arrays.push(Array { layout, values });
        Inputs(arrays)
    }

    fn outputs(&self) -> Vec<Output> {
        let caches = [("k_out", "keys behind"), ("v_out", "values behind")];
        caches
            .map(|(name, says)| Output { layout: self.cache(name, says), discrete: true })
            .to_vec()
    }

    fn eval(&self, inputs: &Inputs, _: Precision) -> Outputs {
        self.appended(inputs, ("k", "v"), right)
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        let of = |&(name, says, place): &(&'static str, &'static str, Slot)| {
            Mutant::new(name, says, move |inputs: &Inputs, _| {
                self.appended(inputs, ("k", "v"), place)
            })
        };
        let mut mutants: Vec<Mutant<'_>> = BUGS.iter().map(of).collect();
        mutants.push(Mutant::new("kv-swapped", "keys and values are swapped", |inputs, _| {
            self.appended(inputs, ("v", "k"), right)
        }));
        mutants.push(Mutant::new(
            "heads-first",
            "new rows are read as [heads, tokens, d]",
            |i, p| {
                let turned = i.with("k", self.heads_first(i.of("k")));
                self.eval(&turned.with("v", self.heads_first(i.of("v"))), p)
            },
        ));
        mutants.push(Mutant::new(
            "nothing-written",
            "the caches stay as they were",
            |inputs, _| vec![inputs.of("k_cache").to_vec(), inputs.of("v_cache").to_vec()],
        ));
        mutants
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;
    use crate::op::{KvAppend, Operand, Operator, Target};
    use crate::tensor::{Mask, Step};

    const CASE: KvAppendCase = KvAppendCase {
        kv_heads: 2,
        head_dim: 4,
        batch: 3,
        seq: 21,
        past: 37,
        block: 16,
        dtype: Dtype::Bf16,
        seed: 3,
    };

    #[test]
    fn bugs_are_told_apart() {
        let cases = [
            CASE,
            KvAppendCase { seq: 1, block: 8, ..CASE },
            KvAppendCase { seq: 5, past: 0, dtype: Dtype::Fp32, ..CASE },
        ];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }

    /// What the graph's operator puts behind the past is what stands in the blocks.
    #[test]
    fn the_blocks_hold_what_the_operator_appends() {
        let (inputs, width) = (CASE.inputs(), 8);
        let caches = CASE.eval(&inputs, Precision::Exact);
        let read = |cache: &[f64], b: usize, position: usize| -> Vec<f64> {
            let (block, at) = slot(&CASE, &inputs, b, position);
            cache[(block * 16 + at) * width..][..width].to_vec()
        };
        for b in 0..3 {
            let past = CASE.past_of(b);
            let before: Vec<f64> =
                (0..past).flat_map(|p| read(inputs.of("k_cache"), b, p)).collect();
            let new = &inputs.of("k")[b * 21 * width..][..21 * width];
            let step = Step::chunked(1, 21, past as u64).expect("valid");
            let op = KvAppend { kv_heads: 2, head_dim: 4, mask: Mask::Causal };
            let operands = [Operand::new(new, width), Operand::new(&before, width)];
            let mut out = vec![0.0; (past + 21) * width];
            op.eval(&step, &operands, &mut Target::new(&mut out, width));
            // The operator leaves past rows where they lie.
            let stored: Vec<f64> = (past..past + 21).flat_map(|p| read(&caches[0], b, p)).collect();
            assert_eq!(stored, out[past * width..], "{b}");
        }
    }
}
