//! T5, v1.1 and Flan: `T5Config`. RMS norms, no biases, a learned bias by distance, scores unscaled.

use super::Family;
use super::config::Config;
use crate::diagnostic::Diagnostic;
use crate::model::{
    Activation, Architecture, Attention, Block, Embedding, Encoder, EncoderInput, Ffn, Head, Norm,
    NormKind, Output, Position,
};

pub(super) const FAMILY: Family =
    Family { model_type: "t5", architecture: "T5ForConditionalGeneration", read };

/// Tokens that T5 was trained on at a time; its positions have no end (arXiv 1910.10683).
const TRAINED: u64 = 512;
/// The decoder begins with the padding token.
const START: u64 = 1;

/// About training and older spellings of what `feed_forward_proj` says.
const UNREAD: &[&str] = &[
    "classifier_dropout",
    "dense_act_fn",
    "dropout_rate",
    "initializer_factor",
    "is_gated_act",
    "output_past",
];

fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    if !config.flag_or("is_encoder_decoder", true)? && config.output != Output::Encoded {
        let message = "a `t5` model without its decoder is not supported".to_owned();
        return Err(config.refuse("is_encoder_decoder", message));
    }
    for unread in UNREAD {
        config.take(unread);
    }
    let hidden = config.size("d_model")?;
    let heads = config.size("num_heads")?;
    let encoder_layers = config.size("num_layers")?;
    let max_context = config.size_opt("n_positions")?.unwrap_or(TRAINED);
    let tied = config.flag_or("tie_word_embeddings", true)?;
    let position = Position::Relative {
        buckets: config.size("relative_attention_num_buckets")?,
        max_distance: config.size_opt("relative_attention_max_distance")?.unwrap_or(128),
    };
    let (activation, gated) = projection(config)?;
    Ok(Architecture {
        id: String::new(),
        name: String::new(),
        source: String::new(),
        vocabulary: config.size("vocab_size")?,
        hidden,
        layers: config.size_opt("num_decoder_layers")?.unwrap_or(encoder_layers),
        max_context,
        attention: Attention {
            scale: 1.0,
            ..Attention::plain((heads, heads), config.size("d_kv")?, false)
        },
        position,
        ffn: Ffn { inner: config.size("d_ff")?, activation, gated, bias: false },
        experts: None,
        norm: Norm {
            kind: NormKind::Rms,
            epsilon: config.real("layer_norm_epsilon")?,
            unit_offset: false,
            bias: false,
            pre: true,
            post: false,
        },
        block: Block::Sequential,
        // A tied head reads the hidden state over sqrt(hidden), as the embedding was trained for.
        head: Head {
            tied,
            bias: false,
            scale: tied.then(|| 1.0 / (hidden as f64).sqrt()),
            softcap: None,
        },
        embedding: Embedding { scale: None, norm: false },
        encoder: Some(Encoder {
            layers: encoder_layers,
            max_source: max_context,
            start_tokens: START,
            input: EncoderInput::Tokens,
        }),
    })
}

/// `relu` where absent; `gated-gelu` is the tanh form.
fn projection(config: &mut Config) -> Result<(Activation, bool), Diagnostic> {
    let name = config.text_opt("feed_forward_proj")?;
    match name.as_deref() {
        None | Some("relu") => Ok((Activation::Relu, false)),
        Some("gated-gelu") => Ok((Activation::GeluTanh, true)),
        Some("gated-silu") => Ok((Activation::Silu, true)),
        Some(other) => {
            let other = crate::diagnostic::clip(other);
            let message = format!("feed_forward_proj `{other}` is not supported");
            let hint = "supported: relu, gated-gelu, gated-silu";
            Err(config.refuse("feed_forward_proj", message).hint(hint))
        }
    }
}
