//! Qwen 2 and 2.5: `Qwen2Config`. Llama with biases on queries, keys and values.

use super::rms_decoder::{Defaults, rms_decoder, same_layer_types};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::Architecture;

pub(super) const FAMILY: Family =
    Family { model_type: "qwen2", architecture: "Qwen2ForCausalLM", read };

/// `sliding_window` and `max_window_layers` count only where `use_sliding_window` is true.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("attention_bias", false)?;
    config.only("mlp_bias", false)?;
    config.only("use_sliding_window", false)?;
    config.take("sliding_window");
    config.take("max_window_layers");
    let mut model = rms_decoder(config, Defaults { multi_head: false, tied: false })?;
    model.attention.qkv_bias = true;
    same_layer_types(config, &model)?;
    Ok(model)
}
