//! Phi-3: `Phi3Config`. Llama with fused projections, which changes no count, and a window.

use super::rms_decoder::{Defaults, rms_decoder, same_layer_types};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::Architecture;

pub(super) const FAMILY: Family =
    Family { model_type: "phi3", architecture: "Phi3ForCausalLM", read };

/// `original_max_position_embeddings` counts only with `longrope`.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("attention_bias", false)?;
    config.only("mlp_bias", false)?;
    let mut model = rms_decoder(config, Defaults { multi_head: true, tied: false })?;
    config.take("original_max_position_embeddings");
    model.attention.windows = vec![config.size_opt("sliding_window")?];
    same_layer_types(config, &model)?;
    Ok(model)
}
