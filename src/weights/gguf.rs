//! The architecture that the metadata of a GGUF file describes: llama and Gemma-3
//! (ggml-org/llama.cpp, `gguf-py/gguf/constants.py` and `src/llama-model.cpp`).

use super::decode::decode;
use crate::formats::FormatError;
use crate::formats::gguf::Directory;
use crate::model::{
    Activation, Architecture, Attention, Block, Embedding, Experts, Ffn, Head, Norm, NormKind,
    Pairing, Position, QkNorm, RopeScaling,
};
use std::io::{Read, Seek};

/// Gemma-3's pattern: every sixth layer sees everything, the others a window with angles of this base.
const GEMMA_PATTERN: u64 = 6;
const GEMMA_LOCAL_THETA: f64 = 10_000.0;
/// The base of llama files that state none.
const THETA: f64 = 10_000.0;
/// A divisor for each frequency (llama 3.1).
const DIVISORS: &str = "rope_freqs.weight";

/// The architecture of a file, of which a table of frequencies is read.
///
/// # Errors
/// An architecture that is not supported, a key that is missing, sizes that do not fit, or a table that
/// cannot be read.
pub fn architecture<R: Read + Seek>(
    directory: &Directory,
    file: &mut R,
    id: &str,
) -> Result<Architecture, FormatError> {
    let name = directory.text("general.architecture")?.to_owned();
    let table = directory.entries.get(DIVISORS);
    let table = table.map(|e| decode::<f64>(e.kind, &e.read(file)?)).transpose()?;
    let keys = Keys { directory, name: &name, divisors: table };
    let model = match name.as_str() {
        "llama" => keys.llama(id),
        "gemma3" => keys.gemma3(id),
        other => {
            let why = format!(
                "architecture `{}` is not supported; expected llama or gemma3",
                crate::diagnostic::clip(other)
            );
            return Err(FormatError::key("general.architecture", why));
        }
    }?;
    model.checked().map_err(|why| FormatError::key(&name, why))
}

struct Keys<'a> {
    directory: &'a Directory,
    name: &'a str,
    divisors: Option<Vec<f64>>,
}

impl Keys<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    fn count(&self, key: &str) -> Result<u64, FormatError> {
        self.directory.count(&self.key(key))
    }

    fn count_opt(&self, key: &str) -> Result<Option<u64>, FormatError> {
        let key = self.key(key);
        self.directory.metadata.get(&key).map(|_| self.directory.count(&key)).transpose()
    }

    fn number(&self, key: &str) -> Result<f64, FormatError> {
        self.directory.number(&self.key(key))
    }

    fn number_opt(&self, key: &str) -> Result<Option<f64>, FormatError> {
        let key = self.key(key);
        self.directory.metadata.get(&key).map(|_| self.directory.number(&key)).transpose()
    }

    fn has(&self, tensor: &str) -> bool {
        self.directory.entries.contains_key(tensor)
    }

    /// Rows of the embedding, which the file's list of tokens may fall short of.
    fn vocabulary(&self) -> Result<u64, FormatError> {
        let table = self.directory.entries.get("token_embd.weight");
        let rows = table.and_then(|t| t.shape.first().copied());
        rows.ok_or_else(|| FormatError::tensor("token_embd.weight", "the file lacks it"))
    }

    /// Scaling of the angles; refuses kinds other than none and linear.
    fn scaling(&self) -> Result<Option<RopeScaling>, FormatError> {
        let key = self.key("rope.scaling.type");
        let kind = match self.directory.metadata.get(&key) {
            None => "none",
            Some(_) => self.directory.text(&key)?,
        };
        match kind {
            "none" => Ok(None),
            "linear" => {
                Ok(Some(RopeScaling::Linear { factor: self.number("rope.scaling.factor")? }))
            }
            "yarn" => {
                let factor = self.number("rope.scaling.factor")?;
                let original_context = self.count("rope.scaling.original_context_length")?;
                let attention_factor = 0.1 * factor.ln() + 1.0;
                let (beta_fast, beta_slow, truncate) = (32.0, 1.0, true);
                Ok(Some(RopeScaling::Yarn {
                    factor,
                    original_context,
                    beta_fast,
                    beta_slow,
                    attention_factor,
                    truncate,
                }))
            }
            other => {
                let why = format!("`{}` is not supported", crate::diagnostic::clip(other));
                Err(FormatError::key(&key, why))
            }
        }
    }

    fn attention(&self, hidden: u64) -> Result<Attention, FormatError> {
        let heads = self.count("attention.head_count")?;
        let kv_heads = self.count_opt("attention.head_count_kv")?.unwrap_or(heads);
        let given = self.count_opt("attention.key_length")?;
        let head_dim = given.or_else(|| hidden.checked_div(heads)).unwrap_or(0);
        if self.count_opt("attention.value_length")?.is_some_and(|v| v != head_dim) {
            let key = self.key("attention.value_length");
            return Err(FormatError::key(
                &key,
                format!("keys and values differ in length from {head_dim}"),
            ));
        }
        let (qkv_bias, out_bias) =
            (self.has("blk.0.attn_q.bias"), self.has("blk.0.attn_output.bias"));
        Ok(Attention { qkv_bias, out_bias, ..Attention::plain((heads, kv_heads), head_dim, false) })
    }

    /// The scaling, or the file's table of divisors; refuses a file with both.
    fn llama_scaling(&self) -> Result<Option<RopeScaling>, FormatError> {
        match (self.scaling()?, &self.divisors) {
            (scaling, None) => Ok(scaling),
            (None, Some(divisors)) => Ok(Some(RopeScaling::Table { divisors: divisors.clone() })),
            (Some(_), Some(_)) => {
                let why = format!("a scaling beside the table `{DIVISORS}` is not supported");
                Err(FormatError::key(&self.key("rope.scaling.type"), why))
            }
        }
    }

    /// Experts in every layer, scored by a softmax, with normalised weights (Mixtral).
    fn experts(&self, dense: u64) -> Result<Option<Experts>, FormatError> {
        let Some(count) = self.count_opt("expert_count")?.filter(|&n| n > 0) else {
            return Ok(None);
        };
        let active = self.count("expert_used_count")?;
        let inner = self.count_opt("expert_feed_forward_length")?.unwrap_or(dense);
        Ok(Some(Experts::softmax(count, active, inner)))
    }

    /// A decoder of RMS norms and gated projections; rotation of neighbours, as the converter has
    /// reordered queries and keys.
    fn llama(&self, id: &str) -> Result<Architecture, FormatError> {
        let hidden = self.count("embedding_length")?;
        let inner = self.count("feed_forward_length")?;
        let attention = self.attention(hidden)?;
        Ok(Architecture {
            id: id.to_owned(),
            name: id.to_owned(),
            source: "GGUF file".to_owned(),
            vocabulary: self.vocabulary()?,
            hidden,
            layers: self.count("block_count")?,
            max_context: self.count("context_length")?,
            position: Position::Rope {
                theta: self.number_opt("rope.freq_base")?.unwrap_or(THETA),
                rotary_dim: self.count_opt("rope.dimension_count")?.unwrap_or(attention.head_dim),
                pairing: Pairing::Interleaved,
                scaling: self.llama_scaling()?,
                local_theta: None,
            },
            attention,
            ffn: Ffn {
                inner,
                activation: Activation::Silu,
                gated: true,
                bias: self.has("blk.0.ffn_up.bias"),
            },
            experts: self.experts(inner)?,
            norm: Norm {
                kind: NormKind::Rms,
                epsilon: self.number("attention.layer_norm_rms_epsilon")?,
                unit_offset: false,
                bias: false,
                pre: true,
                post: false,
            },
            block: Block::Sequential,
            head: Head {
                tied: !self.has("output.weight"),
                bias: false,
                scale: None,
                softcap: None,
            },
            embedding: Embedding { scale: None, norm: false },
            encoder: None,
        })
    }

    /// Gemma-3: the converter has added 1 to the gains and kept the order of queries and keys.
    fn gemma3(&self, id: &str) -> Result<Architecture, FormatError> {
        if self.divisors.is_some() {
            return Err(FormatError::tensor(
                DIVISORS,
                "a gemma3 model has no table of frequencies",
            ));
        }
        if self.experts(0)?.is_some() {
            let key = self.key("expert_count");
            return Err(FormatError::key(&key, "a gemma3 model has no experts"));
        }
        let mut model = self.llama(id)?;
        let window = self.count("attention.sliding_window")?;
        let pattern = GEMMA_PATTERN.min(model.layers);
        model.attention.windows =
            (1..=pattern).map(|i| (i < GEMMA_PATTERN).then_some(window)).collect();
        model.attention.qk_norm = QkNorm::Head;
        model.ffn.activation = Activation::GeluTanh;
        model.norm.post = true;
        model.embedding.scale = Some((model.hidden as f64).sqrt());
        model.position = Position::Rope {
            theta: self.number_opt("rope.freq_base")?.unwrap_or(1e6),
            rotary_dim: model.attention.head_dim,
            pairing: Pairing::Half,
            scaling: self.scaling()?,
            local_theta: Some(GEMMA_LOCAL_THETA),
        };
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::gguf::{Value, directory};
    use std::fs::File;

    /// Why a golden file with other metadata is refused.
    fn refused(file: &str, metadata: &[(&str, Value)]) -> String {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gguf/");
        let mut file = File::open(format!("{root}{file}.gguf")).expect("a fixture");
        let mut found = directory(&mut file).expect("a directory");
        architecture(&found, &mut file, "as-it-is").expect("an architecture");
        found.metadata.extend(metadata.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        architecture(&found, &mut file, "changed").expect_err("refused").to_string()
    }

    #[test]
    fn tables_and_experts_are_refused_where_they_have_no_meaning() {
        let both = [
            ("llama.rope.scaling.type", Value::of_text("linear")),
            ("llama.rope.scaling.factor", Value::F32(2.0)),
        ];
        insta::assert_snapshot!(refused("llama-rope-factors", &both), @"key `llama.rope.scaling.type`: a scaling beside the table `rope_freqs.weight` is not supported");
        let gemma = [("general.architecture", Value::of_text("gemma3"))];
        insta::assert_snapshot!(refused("llama-rope-factors", &gemma), @"tensor `rope_freqs.weight`: a gemma3 model has no table of frequencies");
        let experts =
            [("gemma3.expert_count", Value::u32(4)), ("gemma3.expert_used_count", Value::u32(2))];
        insta::assert_snapshot!(refused("gemma3-f16", &experts), @"key `gemma3.expert_count`: a gemma3 model has no experts");
        let lacking = [("llama.expert_count", Value::u32(4))];
        insta::assert_snapshot!(refused("llama-f32", &lacking), @"key `llama.expert_used_count`: the file's metadata lacks it");
    }
}
