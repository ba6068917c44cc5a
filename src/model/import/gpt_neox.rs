//! GPT-NeoX and Pythia: `GPTNeoXConfig`. Layer norms and biases everywhere, attention and network side by
//! side behind a norm each, rotation of a part of each head.

use super::config::Config;
use super::rope::rope;
use super::{Family, explain};
use crate::diagnostic::Diagnostic;
use crate::model::check::head_dim;
use crate::model::{Architecture, Attention, Block, Embedding, Ffn, Head, Norm, Position};

pub(super) const FAMILY: Family =
    Family { model_type: "gpt_neox", architecture: "GPTNeoXForCausalLM", read };

/// `rotary_pct` of the class where the file leaves it out.
const ROTARY_PART: f64 = 0.25;

fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let head_dim = head_dim(hidden, heads, None).map_err(|r| explain(config, r))?;
    let bias = config.flag_or("attention_bias", true)?;
    let activation = config.activation("hidden_act")?;
    let block = match config.flag_or("use_parallel_residual", true)? {
        true => Block::Parallel { norms: 2 },
        false => Block::Sequential,
    };
    Ok(Architecture {
        id: String::new(),
        name: String::new(),
        source: String::new(),
        vocabulary: config.size("vocab_size")?,
        hidden,
        layers: config.size("num_hidden_layers")?,
        max_context: config.size("max_position_embeddings")?,
        position: position(config, head_dim)?,
        attention: Attention::plain((heads, heads), head_dim, bias),
        ffn: Ffn {
            inner: config.size("intermediate_size")?,
            activation: activation.ok_or_else(|| config.missing("hidden_act"))?,
            gated: false,
            bias: true,
        },
        experts: None,
        norm: Norm::layer(config.real("layer_norm_eps")?),
        block,
        head: Head {
            tied: config.flag_or("tie_word_embeddings", false)?,
            bias: false,
            scale: None,
            softcap: None,
        },
        embedding: Embedding { scale: None, norm: false },
        encoder: None,
    })
}

/// `rotary_pct` and `rotary_emb_base` are the class's own names; newer files repeat them under the
/// common ones.
fn position(config: &mut Config, head_dim: u64) -> Result<Position, Diagnostic> {
    let part = config.real_opt("rotary_pct")?;
    let base = config.real_opt("rotary_emb_base")?;
    let mut found = rope(config, head_dim)?;
    if let Position::Rope { theta, rotary_dim, .. } = &mut found {
        if *rotary_dim == head_dim {
            *rotary_dim = (head_dim as f64 * part.unwrap_or(ROTARY_PART)) as u64;
        }
        *theta = base.unwrap_or(*theta);
    }
    Ok(found)
}
