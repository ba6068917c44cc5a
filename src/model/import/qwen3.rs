//! Qwen 3, dense: `Qwen3Config`. Llama with an RMS norm on queries and keys.

use super::rms_decoder::{Defaults, rms_decoder, same_layer_types};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::{Architecture, QkNorm};

pub(super) const FAMILY: Family =
    Family { model_type: "qwen3", architecture: "Qwen3ForCausalLM", read };

/// `head_dim` must be there: the class's default is 128, not hidden / heads.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("mlp_bias", false)?;
    config.only("use_sliding_window", false)?;
    config.take("sliding_window");
    config.take("max_window_layers");
    config.require("head_dim")?;
    let mut model = rms_decoder(config, Defaults { multi_head: false, tied: false })?;
    model.attention.qk_norm = QkNorm::Head;
    same_layer_types(config, &model)?;
    Ok(model)
}
