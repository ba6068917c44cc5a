//! BLOOM: `BloomConfig`. GPT with ALiBi and a norm behind the embedding.

use super::config::Config;
use super::{Family, explain};
use crate::diagnostic::Diagnostic;
use crate::model::check::head_dim;
use crate::model::{
    Activation, Architecture, Attention, Block, Embedding, Ffn, Head, Norm, Position,
};

pub(super) const FAMILY: Family =
    Family { model_type: "bloom", architecture: "BloomForCausalLM", read };

/// Tokens of the sequences that BLOOM was trained on (arXiv 2211.05100, table 3), where the file leaves
/// `seq_length` out.
const TRAINED_CONTEXT: u64 = 2048;

/// Heads are in `n_head` or `num_attention_heads`, the width in `hidden_size` or `n_embed`. ALiBi
/// has no longest context; `seq_length` is the trained one. GELU is the tanh form: the class has no
/// field for it. The head is the embedding.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("apply_residual_connection_post_layernorm", false)?;
    let hidden = either(config, "hidden_size", "n_embed")?;
    let heads = either(config, "num_attention_heads", "n_head")?;
    let layers = either(config, "num_hidden_layers", "n_layer")?;
    let head_dim = head_dim(hidden, heads, None).map_err(|r| explain(config, r))?;
    // Ways to compute the same values.
    for key in [
        "attention_softmax_in_fp32",
        "bias_dropout_fusion",
        "masked_softmax_fusion",
        "offset_alibi",
        "skip_bias_add",
        "skip_bias_add_qkv",
        "slow_but_exact",
    ] {
        config.take(key);
    }
    Ok(Architecture {
        id: String::new(),
        name: String::new(),
        source: String::new(),
        vocabulary: config.size("vocab_size")?,
        hidden,
        layers,
        max_context: config.size_opt("seq_length")?.unwrap_or(TRAINED_CONTEXT),
        position: Position::Alibi,
        attention: Attention::plain((heads, heads), head_dim, true),
        ffn: Ffn {
            inner: hidden.saturating_mul(4),
            activation: Activation::GeluTanh,
            gated: false,
            bias: true,
        },
        experts: None,
        norm: Norm::layer(config.real("layer_norm_epsilon")?),
        block: Block::Sequential,
        head: Head {
            tied: config.flag_or("tie_word_embeddings", true)?,
            bias: false,
            scale: None,
            softcap: None,
        },
        embedding: Embedding { scale: None, norm: true },
        encoder: None,
    })
}

/// The field under the first name, else under the second; the other may repeat it.
fn either(config: &mut Config, name: &str, old: &str) -> Result<u64, Diagnostic> {
    let (first, second) = (config.size_opt(name)?, config.size_opt(old)?);
    match (first, second) {
        (Some(a), Some(b)) if a != b => {
            Err(config.refuse(old, format!("`{old}` {b} is not `{name}` {a}")))
        }
        (Some(value), _) | (None, Some(value)) => Ok(value),
        (None, None) => Err(config.missing(name)),
    }
}
