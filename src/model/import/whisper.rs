//! Whisper: `WhisperConfig`. An audio encoder, layer norms, biases but for the keys, tied head.

use super::config::Config;
use super::{Family, explain};
use crate::diagnostic::Diagnostic;
use crate::model::check::head_dim;
use crate::model::{
    Architecture, Attention, Block, Embedding, Encoder, EncoderInput, Ffn, Head, Norm, Position,
};

pub(super) const FAMILY: Family =
    Family { model_type: "whisper", architecture: "WhisperForConditionalGeneration", read };

/// Layer norm's epsilon: the class takes PyTorch's default.
const EPSILON: f64 = 1e-5;
/// Start of transcript, language, task, no timestamps (arXiv 2212.04356, section 2.3).
const START: u64 = 4;
/// Models of English alone have neither language nor task, and this vocabulary.
const ENGLISH: (u64, u64) = (51_864, 2);

/// About classification, augmentation in training, alignment, and which tokens a search may choose.
const UNREAD: &[&str] = &[
    "apply_spec_augment",
    "begin_suppress_tokens",
    "classifier_proj_size",
    "decoder_layerdrop",
    "encoder_layerdrop",
    "forced_decoder_ids",
    "mask_feature_length",
    "mask_feature_min_masks",
    "mask_feature_prob",
    "mask_time_length",
    "mask_time_min_masks",
    "mask_time_prob",
    "max_length",
    "median_filter_width",
    "num_hidden_layers",
    "suppress_tokens",
    "use_weighted_layer_sum",
];

fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("is_encoder_decoder", true)?;
    config.only("scale_embedding", false)?;
    for unread in UNREAD {
        config.take(unread);
    }
    let hidden = config.size("d_model")?;
    let heads = alike(config, "encoder_attention_heads", "decoder_attention_heads")?;
    let inner = alike(config, "encoder_ffn_dim", "decoder_ffn_dim")?;
    let head_dim = head_dim(hidden, heads, None).map_err(|r| explain(config, r))?;
    let positions = config.size("max_target_positions")?;
    let vocabulary = config.size("vocab_size")?;
    let activation = config.activation("activation_function")?;
    let encoder = Encoder {
        layers: config.size("encoder_layers")?,
        max_source: config.size("max_source_positions")?,
        start_tokens: if vocabulary == ENGLISH.0 { ENGLISH.1 } else { START },
        input: EncoderInput::Audio { mel_bins: config.size("num_mel_bins")? },
    };
    Ok(Architecture {
        id: String::new(),
        name: String::new(),
        source: String::new(),
        vocabulary,
        hidden,
        layers: config.size("decoder_layers")?,
        max_context: positions,
        attention: Attention { k_bias: false, ..Attention::plain((heads, heads), head_dim, true) },
        position: Position::Learned { positions, offset: 0 },
        ffn: Ffn {
            inner,
            activation: activation.ok_or_else(|| config.missing("activation_function"))?,
            gated: false,
            bias: true,
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
        encoder: Some(encoder),
    })
}

/// A size that encoder and decoder share.
fn alike(config: &mut Config, encoder: &str, decoder: &str) -> Result<u64, Diagnostic> {
    let place = config.place(decoder);
    let (ours, theirs) = (config.size(encoder)?, config.size(decoder)?);
    if ours == theirs {
        return Ok(ours);
    }
    let message = format!("`{encoder}` {ours} is not `{decoder}` {theirs}");
    Err(Diagnostic::new(message).at(place).hint("both stacks have layers of one size"))
}
