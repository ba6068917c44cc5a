//! Mistral 7B and relatives: `MistralConfig`. Llama with a sliding window in every layer.

use super::rms_decoder::{Defaults, rms_decoder, same_layer_types};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::Architecture;

pub(super) const FAMILY: Family =
    Family { model_type: "mistral", architecture: "MistralForCausalLM", read };

/// `sliding_window` must be there, be it `null`: the class's default is 4096, and a file that
/// leaves it out may mean either.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("attention_bias", false)?;
    config.only("mlp_bias", false)?;
    let mut model = rms_decoder(config, Defaults { multi_head: false, tied: false })?;
    if !config.has("sliding_window") {
        return Err(config.missing("sliding_window").hint("`null` where attention is full"));
    }
    model.attention.windows = vec![config.size_opt("sliding_window")?];
    same_layer_types(config, &model)?;
    Ok(model)
}
