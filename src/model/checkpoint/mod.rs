//! Where the weights of a graph lie in a checkpoint: names and orders of rows as Hugging Face's
//! `transformers` and ggml's converters write them, one file per form.
//!
//! A weight is put together from [`Part`]s, rows behind rows. A name that a form does not know has no
//! place, and a tensor that no weight takes is the reader's to refuse.

mod bloom;
mod deepseek;
mod falcon;
mod gguf;
mod gpt2;
mod gpt_neox;
mod gpt_oss;
mod gptj;
mod mixtral;
mod olmo2;
mod opt;
mod phi3;
mod rms;
mod t5;
mod whisper;

use super::Architecture;

/// Rows of a stored tensor, in the graph's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// All, in order.
    All,
    /// Of each of `count` runs of `period` rows these pieces, each a first row and a length.
    Runs {
        /// Rows from run to run.
        period: u64,
        /// Runs.
        count: u64,
        /// What is taken of each.
        pieces: Vec<(u64, u64)>,
    },
}

/// How a stored tensor becomes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `[rows, columns]`; a vector is a column.
    Plain,
    /// `[columns, rows]` (GPT-2's `Conv1D`).
    Transposed,
    /// `[rows, inputs, taps]`: the graph has taps before inputs.
    Taps,
    /// One matrix of `[matrices, rows, columns]`.
    Slab(u64),
    /// One matrix of `[matrices, columns, rows]`.
    TransposedSlab(u64),
}

/// A stored tensor, or some of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name in the checkpoint.
    pub tensor: String,
    /// How it becomes rows.
    pub form: Form,
    /// Which of them.
    pub rows: Rows,
}

impl Part {
    fn new(tensor: impl Into<String>) -> Self {
        Self { tensor: tensor.into(), form: Form::Plain, rows: Rows::All }
    }

    fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// The rows of `first..first + length`.
    fn slice(self, first: u64, length: u64) -> Self {
        self.runs(0, 1, vec![(first, length)])
    }

    fn runs(self, period: u64, count: u64, pieces: Vec<(u64, u64)>) -> Self {
        Self { rows: Rows::Runs { period, count, pieces }, ..self }
    }
}

/// A weight of the graph to be found.
#[derive(Debug, Clone, Copy)]
struct Wanted<'a> {
    arch: &'a Architecture,
    layer: u64,
    name: &'a str,
}

impl Wanted<'_> {
    /// The name's part before `.weight` or `.bias`, and that ending.
    fn split(&self) -> (&str, &str) {
        self.name.rsplit_once('.').unwrap_or((self.name, ""))
    }

    /// The stored name that a table has for a node; `{}` in it is the layer.
    fn find(&self, table: &[(&str, &str)]) -> Option<Part> {
        let (node, ending) = self.split();
        let stored = table.iter().find(|(own, _)| *own == node).map(|(_, stored)| stored)?;
        let stored = stored.replace("{}", &self.layer.to_string());
        Some(Part::new(format!("{stored}.{ending}")))
    }

    /// A stored name as it is, the layer in place of `{}`.
    fn named(&self, stored: &str) -> Part {
        Part::new(stored.replace("{}", &self.layer.to_string()))
    }
}

/// What one form of checkpoint calls the weights.
type Find = fn(&Wanted<'_>) -> Option<Vec<Part>>;

/// How a checkpoint names and orders its weights.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    find: Find,
    ignored: &'static [&'static str],
    prefixes: &'static [&'static str],
}

impl Layout {
    const fn new(find: Find) -> Self {
        Self { find, ignored: &[], prefixes: &[] }
    }

    /// The parts of a weight, by layer and name in the graph; `None` for a name that is unknown.
    pub fn parts(&self, arch: &Architecture, layer: Option<u64>, name: &str) -> Option<Vec<Part>> {
        (self.find)(&Wanted { arch, layer: layer.unwrap_or(0), name })
    }

    /// Whether a stored tensor is no weight: masks and tables that follow from the configuration.
    pub fn is_ignored(&self, tensor: &str) -> bool {
        self.ignored.iter().any(|ending| tensor.ends_with(ending))
    }

    /// What some checkpoints of this form have before every name, or lack.
    pub const fn prefixes(&self) -> &'static [&'static str] {
        self.prefixes
    }

    /// The layout of Hugging Face checkpoints of a `model_type`.
    pub fn of_family(model_type: &str) -> Option<Self> {
        Some(match model_type {
            "bloom" => bloom::LAYOUT,
            "deepseek_v2" | "deepseek_v3" => deepseek::LAYOUT,
            "falcon" => falcon::LAYOUT,
            "gpt2" => gpt2::LAYOUT,
            "gpt_neox" => gpt_neox::LAYOUT,
            "gpt_oss" => gpt_oss::LAYOUT,
            "gptj" => gptj::LAYOUT,
            "opt" => opt::LAYOUT,
            "mixtral" => mixtral::LAYOUT,
            "olmo2" => olmo2::LAYOUT,
            "phi3" => phi3::LAYOUT,
            "cohere" | "gemma2" | "gemma3_text" | "llama" | "mistral" | "qwen2" | "qwen3"
            | "qwen3_moe" => rms::LAYOUT,
            "t5" => t5::LAYOUT,
            "whisper" => whisper::LAYOUT,
            _ => return None,
        })
    }

    /// The layout of GGUF files.
    pub const fn of_gguf() -> Self {
        gguf::LAYOUT
    }
}
