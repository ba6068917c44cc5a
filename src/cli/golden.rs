//! `cosim golden`: inputs of an operator with what must come out.

use super::arrays;
use super::error::Error;
use super::files;
use crate::codec::{Float, Overflow};
use crate::diagnostic::Diagnostic;
use crate::formats::{Kind, values};
use crate::validate::attention::{Case, CaseError};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Operators that cases are made of.
#[derive(Debug, clap::Subcommand)]
pub enum GoldenCommand {
    /// Causal attention, aligned bottom-right: MHA, GQA, MQA; prefill, chunks, decode
    Attention(AttentionArgs),
}

/// Arguments of `cosim golden attention`; the defaults show every known bug that can be seen.
#[derive(Debug, clap::Args)]
pub struct AttentionArgs {
    /// Query heads
    #[arg(long, default_value = "8")]
    heads: u64,
    /// Key and value heads
    #[arg(long, default_value = "2")]
    kv_heads: u64,
    /// Elements of a head
    #[arg(long, default_value = "32")]
    head_dim: u64,
    /// Sequences
    #[arg(long, default_value = "2")]
    batch: u64,
    /// New tokens of a sequence; 1 is a decode step
    #[arg(long, default_value = "20")]
    seq: u64,
    /// Positions of a sequence, the new tokens the last of them; seq + 130 unless given
    #[arg(long)]
    kv_seq: Option<u64>,
    /// Sliding window: keys that a query sees at most
    #[arg(long)]
    window: Option<u64>,
    /// Soft cap of the scores
    #[arg(long)]
    softcap: Option<f64>,
    /// Bias by distance
    #[arg(long)]
    alibi: bool,
    /// A learned score per head that joins the sum
    #[arg(long)]
    sinks: bool,
    /// Format of inputs and output
    #[arg(long, value_enum, default_value = "bf16")]
    dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Formats of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// bfloat16
    Bf16,
    /// IEEE 754 binary16
    Fp16,
    /// IEEE 754 binary32
    #[value(alias = "f32")]
    Fp32,
}

impl Dtype {
    /// The format.
    pub const fn float(self) -> Float {
        match self {
            Self::Bf16 => Float::BF16,
            Self::Fp16 => Float::FP16,
            Self::Fp32 => Float::FP32,
        }
    }

    /// How it is stored.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Bf16 => Kind::Bf16,
            Self::Fp16 => Kind::F16,
            Self::Fp32 => Kind::F32,
        }
    }

    fn bytes(self, values: &[f64]) -> Vec<u8> {
        let size = self.float().bits() as usize / 8;
        let pattern = |&x: &f64| self.float().encode(x, Overflow::Special).to_le_bytes();
        values.iter().flat_map(|x| pattern(x).into_iter().take(size)).collect()
    }
}

/// `case.yaml`: what the case is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCase {
    op: RawOp,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    batch: u64,
    seq: u64,
    kv_seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    softcap: Option<f64>,
    #[serde(default)]
    alibi: bool,
    #[serde(default)]
    sinks: bool,
    /// Format of inputs and output.
    pub dtype: Dtype,
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawOp {
    Attention,
}

impl From<CaseError> for Error {
    fn from(error: CaseError) -> Self {
        Diagnostic::new(error.to_string()).into()
    }
}

impl RawCase {
    /// The case, checked.
    ///
    /// # Errors
    /// Numbers that make no case.
    pub fn case(&self) -> Result<Case, Error> {
        let case = Case {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            batch: self.batch,
            queries: self.seq,
            keys: self.kv_seq,
            window: self.window,
            softcap: self.softcap,
            alibi: self.alibi,
            sinks: self.sinks,
            format: self.dtype.float(),
            seed: self.seed,
        };
        case.check()?;
        Ok(case)
    }
}

/// Writes a case.
pub fn run(command: &GoldenCommand) -> Result<(), Error> {
    let GoldenCommand::Attention(args) = command;
    let raw = RawCase {
        op: RawOp::Attention,
        heads: args.heads,
        kv_heads: args.kv_heads,
        head_dim: args.head_dim,
        batch: args.batch,
        seq: args.seq,
        kv_seq: args.kv_seq.unwrap_or(args.seq.saturating_add(130)),
        window: args.window,
        softcap: args.softcap,
        alibi: args.alibi,
        sinks: args.sinks,
        dtype: args.dtype,
        seed: args.seed,
    };
    let case = raw.case()?;
    let inputs = case.inputs();
    let references = case.references(&inputs);
    let (query, key) = (case.query_shape(), case.key_shape());
    let mut stored = vec![("q", query.to_vec(), &inputs.q), ("k", key.to_vec(), &inputs.k)];
    stored.push(("v", key.to_vec(), &inputs.v));
    if case.sinks {
        stored.push(("sinks", vec![case.heads], &inputs.sinks));
    }
    let file = |name: &str| args.out.join(format!("{name}.npy"));
    for (name, shape, numbers) in &stored {
        arrays::write(&file(name), raw.dtype.kind(), shape, &raw.dtype.bytes(numbers))?;
    }
    let results = [("expected", &references.truth), ("emulated", &references.emulated)];
    for (name, numbers) in results {
        arrays::write(&file(name), Kind::F64, &query, &values::f64_bytes(numbers))?;
    }
    let yaml = serde_yaml::to_string(&raw).map_err(|e| Diagnostic::new(e.to_string()))?;
    files::write(&args.out.join("case.yaml"), &yaml)?;
    files::write(&args.out.join("README.md"), &readme(&raw, &case))?;
    files::print(&format!(
        "{}: attention, {} query and {} key heads of {}, {} tokens at the end of {}, batch {}, {}\n",
        shown(&args.out),
        case.heads,
        case.kv_heads,
        case.head_dim,
        case.queries,
        case.keys,
        case.batch,
        raw.dtype.kind()
    ))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn readme(raw: &RawCase, case: &Case) -> String {
    let row = |name: &str, kind: Kind, shape: &[u64], what: &str| {
        let strides: Vec<u64> = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
        format!("| {name}.npy | {kind} | {shape:?} | {strides:?} | {what} |\n")
    };
    let (kind, query, key) = (raw.dtype.kind(), case.query_shape(), case.key_shape());
    let mut table = String::new();
    table += &row("q", kind, &query, "queries: batch, tokens, heads, head_dim");
    table += &row("k", kind, &key, "keys: batch, positions, kv_heads, head_dim");
    table += &row("v", kind, &key, "values, as keys");
    if case.sinks {
        table += &row("sinks", kind, &[case.heads], "a score per head that joins the sum");
    }
    table += &row("expected", Kind::F64, &query, "the output in f64");
    table += &row("emulated", Kind::F64, &query, "the output in f32, rounded to the format");
    let mut lines = vec![
        format!("Token i of a sequence is at position {} + i.", case.keys - case.queries),
        "It sees the keys up to and including its own position.".to_owned(),
        format!("Scores are scaled by {}.", case.scale()),
        "Query head h reads key head h / (heads / kv_heads).".to_owned(),
    ];
    lines.extend(case.window.map(|w| format!("A token sees the last {w} of those keys.")));
    lines.extend(case.softcap.map(|c| format!("Scores are capped: {c} tanh(s / {c}).")));
    if case.alibi {
        lines
            .push("The distance to the key times the head's ALiBi slope is subtracted.".to_owned());
    }
    format!(
        "# Attention\n\n| file | elements | shape | strides, in elements | |\n|---|---|---|---|---|\n\
         {table}\n{}\n\nNumPy reads bf16 as two raw bytes: \
         `(np.load(\"q.npy\").view(np.uint16).astype(np.uint32) << 16).view(np.float32)`.\n\n\
         `cosim validate . --got out.npy` takes an output of the shape of `expected.npy` in any float \
         format. It makes inputs and references from `case.yaml`, seed included, not from the arrays \
         here.\n",
        lines.join("\n")
    )
}
