//! Falcon 7B, 40B, 11B: `FalconConfig`. Layer norms, attention and feed-forward side by side.

use super::config::Config;
use super::{Family, explain, rope::rope};
use crate::diagnostic::Diagnostic;
use crate::model::check::head_dim;
use crate::model::{
    Activation, Architecture, Attention, Block, Embedding, Ffn, Head, Norm, Position,
};

pub(super) const FAMILY: Family =
    Family { model_type: "falcon", architecture: "FalconForCausalLM", read };

/// `max_position_embeddings` of the class where the file leaves it out.
const DEFAULT_CONTEXT: u64 = 2048;

/// The published files leave out `ffn_hidden_size` (4 hidden), `activation` (gelu),
/// `tie_word_embeddings` (true) and `max_position_embeddings` (2048).
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("apply_residual_connection_post_layernorm", false)?;
    let hidden = config.size("hidden_size")?;
    let bias = config.flag_or("bias", false)?;
    let new = config.flag_or("new_decoder_architecture", false)?;
    let attention = attention(config, hidden, Form { new, bias })?;
    let inner = config.size_opt("ffn_hidden_size")?;
    Ok(Architecture {
        id: String::new(),
        name: String::new(),
        source: String::new(),
        vocabulary: config.size("vocab_size")?,
        hidden,
        layers: config.size("num_hidden_layers")?,
        max_context: config.size_opt("max_position_embeddings")?.unwrap_or(DEFAULT_CONTEXT),
        position: position(config, attention.head_dim)?,
        attention,
        ffn: Ffn {
            inner: inner.unwrap_or(hidden.saturating_mul(4)),
            activation: config.activation("activation")?.unwrap_or(Activation::GeluErf),
            gated: false,
            bias,
        },
        experts: None,
        norm: Norm::layer(config.real("layer_norm_epsilon")?),
        block: block(config, new)?,
        head: Head {
            tied: config.flag_or("tie_word_embeddings", true)?,
            bias: false,
            scale: None,
            softcap: None,
        },
        embedding: Embedding { scale: None, norm: false },
        encoder: None,
    })
}

/// ALiBi or a rotation; the class of both is the same. `rope_theta` and `rope_scaling` of a model with
/// ALiBi are not used.
fn position(config: &mut Config, head_dim: u64) -> Result<Position, Diagnostic> {
    let rotary = rope(config, head_dim)?;
    Ok(if config.flag_or("alibi", false)? { Position::AlibiBf16 } else { rotary })
}

/// What two switches of the file say.
struct Form {
    new: bool,
    bias: bool,
}

/// Key-value heads: `num_kv_heads` in the new architecture, else one, else as many as queries.
fn attention(config: &mut Config, hidden: u64, form: Form) -> Result<Attention, Diagnostic> {
    let heads = config.size("num_attention_heads")?;
    let head_dim = head_dim(hidden, heads, None).map_err(|r| explain(config, r))?;
    let given = config.size_opt("num_kv_heads")?;
    let multi_query = config.flag_or("multi_query", true)?;
    let kv_heads = match (form.new, multi_query) {
        (true, _) => given.ok_or_else(|| config.missing("num_kv_heads"))?,
        (false, true) => 1,
        (false, false) => heads,
    };
    Ok(Attention::plain((heads, kv_heads), head_dim, form.bias))
}

/// Two norms in the new architecture unless the file says one; one norm in the old one.
fn block(config: &mut Config, new: bool) -> Result<Block, Diagnostic> {
    let parallel = config.flag_or("parallel_attn", true)?;
    let norms = config.size_opt("num_ln_in_parallel_attn")?;
    Ok(match (new, parallel) {
        (true, _) => Block::Parallel { norms: norms.unwrap_or(2) },
        (false, true) => Block::Parallel { norms: 1 },
        (false, false) => Block::Sequential,
    })
}
