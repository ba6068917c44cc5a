//! GPT-J: `GPTJConfig`. One norm for attention and feed-forward side by side, partial rotary
//! positions in interleaved pairs, a head with a bias.

use super::config::Config;
use super::{Family, explain};
use crate::diagnostic::Diagnostic;
use crate::model::check::head_dim;
use crate::model::{Architecture, Attention, Block, Embedding, Ffn, Head, Norm, Pairing, Position};

pub(super) const FAMILY: Family =
    Family { model_type: "gptj", architecture: "GPTJForCausalLM", read };

/// Base of the rotary angles: a constant of the class.
const THETA: f64 = 10_000.0;

/// The class reads neither `rotary` nor `scale_attn_weights`; both are true in its files.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("rotary", true)?;
    config.only("scale_attn_weights", true)?;
    let hidden = config.size("n_embd")?;
    let heads = config.size("n_head")?;
    let head_dim = head_dim(hidden, heads, None).map_err(|r| explain(config, r))?;
    let rotary_dim = config.size("rotary_dim")?;
    let activation = config.activation("activation_function")?;
    Ok(Architecture {
        id: String::new(),
        name: String::new(),
        source: String::new(),
        vocabulary: config.size("vocab_size")?,
        hidden,
        layers: config.size("n_layer")?,
        max_context: config.size("n_positions")?,
        position: Position::Rope {
            theta: THETA,
            rotary_dim,
            pairing: Pairing::Interleaved,
            scaling: None,
            local_theta: None,
        },
        attention: Attention::plain((heads, heads), head_dim, false),
        ffn: Ffn {
            inner: config.size_opt("n_inner")?.unwrap_or(hidden.saturating_mul(4)),
            activation: activation.ok_or_else(|| config.missing("activation_function"))?,
            gated: false,
            bias: true,
        },
        experts: None,
        norm: Norm::layer(config.real("layer_norm_epsilon")?),
        block: Block::Parallel { norms: 1 },
        head: Head {
            tied: config.flag_or("tie_word_embeddings", false)?,
            bias: true,
            scale: None,
            softcap: None,
        },
        embedding: Embedding { scale: None, norm: false },
        encoder: None,
    })
}
