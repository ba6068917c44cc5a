//! OPT: `OPTConfig`. GPT with ReLU and a position table whose first two rows are padding.

use super::config::Config;
use super::{Family, explain};
use crate::diagnostic::Diagnostic;
use crate::model::check::head_dim;
use crate::model::{Architecture, Attention, Block, Embedding, Ffn, Head, Norm, Position};

pub(super) const FAMILY: Family =
    Family { model_type: "opt", architecture: "OPTForCausalLM", read };

/// Rows in front of position 0: a constant of the class.
const OFFSET: u64 = 2;
/// Layer norm's epsilon: the class takes PyTorch's default.
const EPSILON: f64 = 1e-5;

/// OPT-350m has its norms behind the sublayers and a narrower embedding: refused by both fields.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("do_layer_norm_before", true)?;
    config.only("_remove_final_layer_norm", false)?;
    config.only("layer_norm_elementwise_affine", true)?;
    let hidden = config.size("hidden_size")?;
    same_embedding_width(config, hidden)?;
    let heads = config.size("num_attention_heads")?;
    let head_dim = head_dim(hidden, heads, None).map_err(|r| explain(config, r))?;
    let bias = config.flag_or("enable_bias", true)?;
    let max_context = config.size("max_position_embeddings")?;
    let activation = config.activation("activation_function")?;
    Ok(Architecture {
        id: String::new(),
        name: String::new(),
        source: String::new(),
        vocabulary: config.size("vocab_size")?,
        hidden,
        layers: config.size("num_hidden_layers")?,
        max_context,
        position: Position::Learned {
            positions: max_context.saturating_add(OFFSET),
            offset: OFFSET,
        },
        attention: Attention::plain((heads, heads), head_dim, bias),
        ffn: Ffn {
            inner: config.size("ffn_dim")?,
            activation: activation.ok_or_else(|| config.missing("activation_function"))?,
            gated: false,
            bias,
        },
        experts: None,
        norm: Norm::layer(EPSILON),
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

fn same_embedding_width(config: &mut Config, hidden: u64) -> Result<(), Diagnostic> {
    match config.size_opt("word_embed_proj_dim")? {
        Some(width) if width != hidden => {
            let message = format!("`word_embed_proj_dim` {width} is not hidden_size {hidden}");
            let hint = "embeddings projected to another width are not supported";
            Err(config.refuse("word_embed_proj_dim", message).hint(hint))
        }
        _ => Ok(()),
    }
}
