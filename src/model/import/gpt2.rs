//! GPT-2: `GPT2Config`. Learned positions, layer norms, biases everywhere.

use super::config::Config;
use super::{Family, explain};
use crate::diagnostic::Diagnostic;
use crate::model::check::head_dim;
use crate::model::{Architecture, Attention, Block, Embedding, Ffn, Head, Norm, Position};

pub(super) const FAMILY: Family =
    Family { model_type: "gpt2", architecture: "GPT2LMHeadModel", read };

/// `n_inner` is 4 hidden where absent or `null`, and the head is tied.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("scale_attn_weights", true)?;
    config.only("scale_attn_by_inverse_layer_idx", false)?;
    let hidden = config.size("n_embd")?;
    let heads = config.size("n_head")?;
    let head_dim = head_dim(hidden, heads, None).map_err(|r| explain(config, r))?;
    let positions = config.size("n_positions")?;
    let activation = config.activation("activation_function")?;
    Ok(Architecture {
        id: String::new(),
        name: String::new(),
        source: String::new(),
        vocabulary: config.size("vocab_size")?,
        hidden,
        layers: config.size("n_layer")?,
        max_context: positions,
        position: Position::Learned { positions, offset: 0 },
        attention: Attention::plain((heads, heads), head_dim, true),
        ffn: Ffn {
            inner: config.size_opt("n_inner")?.unwrap_or(hidden.saturating_mul(4)),
            activation: activation.ok_or_else(|| config.missing("activation_function"))?,
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
        embedding: Embedding { scale: None, norm: false },
        encoder: None,
    })
}
