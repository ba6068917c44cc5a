//! Gemma 2: `Gemma2Config`. Windows in every other layer, capped scores and logits, norms on both
//! sides of each sublayer with weights `1 + w`, embeddings times `sqrt(hidden)`.

use super::rms_decoder::{Defaults, rms_decoder, same_layer_types};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::Architecture;

pub(super) const FAMILY: Family =
    Family { model_type: "gemma2", architecture: "Gemma2ForCausalLM", read };

/// `sliding_window_size` repeats `sliding_window`; layers 0, 2, 4, ... have the window.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("mlp_bias", false)?;
    config.require("head_dim")?;
    let mut model = rms_decoder(config, Defaults { multi_head: false, tied: true })?;
    let window = config.size("sliding_window")?;
    if let Some(again) = config.size_opt("sliding_window_size")?
        && again != window
    {
        let message = format!("`sliding_window_size` {again} is not `sliding_window` {window}");
        return Err(config.refuse("sliding_window_size", message));
    }
    model.attention.windows = vec![Some(window), None];
    same_layer_types(config, &model)?;
    model.attention.scale = 1.0 / config.real("query_pre_attn_scalar")?.sqrt();
    model.attention.softcap = cap(config, "attn_logit_softcapping")?;
    model.head.softcap = cap(config, "final_logit_softcapping")?;
    model.norm.unit_offset = true;
    model.norm.post = true;
    model.embedding.scale = Some((model.hidden as f64).sqrt());
    Ok(model)
}

/// A cap that the file must name, be it `null` for none.
fn cap(config: &mut Config, key: &str) -> Result<Option<f64>, Diagnostic> {
    if !config.has(key) {
        return Err(config.missing(key).hint("`null` where there is no cap"));
    }
    config.real_opt(key)
}
