//! What Llama and its relatives share: RMS norms, rotary positions, a gated feed-forward network.

use super::config::Config;
use super::rope::rope;
use crate::diagnostic::Diagnostic;
use crate::model::check::head_dim;
use crate::model::{
    Architecture, Attention, Block, Embedding, Ffn, Head, Norm, NormKind, Position,
};

/// What a configuration class takes for fields that published files leave out.
pub(super) struct Defaults {
    /// `num_key_value_heads` is `num_attention_heads`; else the field is required.
    pub multi_head: bool,
    /// `tie_word_embeddings`.
    pub tied: bool,
}

/// Reads the shared fields; the family then changes what differs.
pub(super) fn rms_decoder(
    config: &mut Config,
    defaults: Defaults,
) -> Result<Architecture, Diagnostic> {
    decoder(config, defaults, "rms_norm_eps")
}

/// The same with the epsilon of norms under another name.
pub(super) fn decoder(
    config: &mut Config,
    defaults: Defaults,
    epsilon: &str,
) -> Result<Architecture, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let attention = attention(config, hidden, &defaults)?;
    let position = rope(config, attention.head_dim)?;
    around(config, hidden, (attention, position), (defaults.tied, epsilon))
}

/// The fields around an attention with its positions.
pub(super) fn around(
    config: &mut Config,
    hidden: u64,
    (attention, position): (Attention, Position),
    (tied, epsilon): (bool, &str),
) -> Result<Architecture, Diagnostic> {
    Ok(Architecture {
        id: String::new(),
        name: String::new(),
        source: String::new(),
        vocabulary: config.size("vocab_size")?,
        hidden,
        layers: config.size("num_hidden_layers")?,
        max_context: config.size("max_position_embeddings")?,
        position,
        attention,
        ffn: Ffn {
            inner: config.size("intermediate_size")?,
            activation: match config.activation("hidden_activation")? {
                // Gemma 2 files carry both names; the newer one counts.
                Some(activation) => {
                    config.take("hidden_act");
                    activation
                }
                None => {
                    config.activation("hidden_act")?.ok_or_else(|| config.missing("hidden_act"))?
                }
            },
            gated: true,
            bias: config.flag_or("mlp_bias", false)?,
        },
        experts: None,
        norm: Norm {
            kind: NormKind::Rms,
            epsilon: config.real(epsilon)?,
            unit_offset: false,
            bias: false,
            pre: true,
            post: false,
        },
        block: Block::Sequential,
        head: Head {
            tied: config.flag_or("tie_word_embeddings", tied)?,
            bias: false,
            scale: None,
            softcap: None,
        },
        embedding: Embedding { scale: None, norm: false },
        encoder: None,
    })
}

fn attention(
    config: &mut Config,
    hidden: u64,
    defaults: &Defaults,
) -> Result<Attention, Diagnostic> {
    let heads = config.size("num_attention_heads")?;
    let given = config.size_opt("head_dim")?;
    let head_dim = head_dim(hidden, heads, given).map_err(|r| super::explain(config, r))?;
    let kv_heads = match config.size_opt("num_key_value_heads")? {
        Some(kv_heads) => kv_heads,
        None if defaults.multi_head => heads,
        None => return Err(config.missing("num_key_value_heads")),
    };
    let bias = config.flag_or("attention_bias", false)?;
    Ok(Attention::plain((heads, kv_heads), head_dim, bias))
}

/// Refuses `layer_types` that say otherwise than the window pattern.
pub(super) fn same_layer_types(
    config: &mut Config,
    model: &Architecture,
) -> Result<(), Diagnostic> {
    let found = config.texts("layer_types")?;
    let name = |window: Option<u64>| window.map_or("full_attention", |_| "sliding_attention");
    let agree = found.len() as u64 == model.layers
        && (0..).zip(&found).all(|(layer, f)| f == name(model.attention.window(layer)));
    if found.is_empty() || agree {
        return Ok(());
    }
    let message = format!("`layer_types` is not the pattern of a `{}` model", config.family);
    let hint = "describe the model in cosim's own YAML, with `attention.windows`";
    Err(config.refuse("layer_types", message).hint(hint))
}
