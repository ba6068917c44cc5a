//! Qwen 3 with experts: `Qwen3MoeConfig`.

use super::mixtral::softmax_experts;
use super::rms_decoder::{Defaults, rms_decoder, same_layer_types};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::{Architecture, QkNorm};

pub(super) const FAMILY: Family =
    Family { model_type: "qwen3_moe", architecture: "Qwen3MoeForCausalLM", read };

/// `intermediate_size` is that of dense layers, of which the modelled files have none: any
/// `mlp_only_layers`, or another `decoder_sparse_step` than 1, is refused.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("use_sliding_window", false)?;
    config.take("sliding_window");
    config.take("max_window_layers");
    config.require("head_dim")?;
    let mut model = rms_decoder(config, Defaults { multi_head: false, tied: false })?;
    model.attention.qk_norm = QkNorm::Head;
    same_layer_types(config, &model)?;
    if !config.texts("mlp_only_layers").is_ok_and(|layers| layers.is_empty()) {
        let message = "`mlp_only_layers` with dense layers is not supported".to_owned();
        return Err(config.refuse("mlp_only_layers", message));
    }
    let step = config.size_opt("decoder_sparse_step")?.unwrap_or(1);
    if step != 1 {
        let message = format!("`decoder_sparse_step` {step} is not supported, only 1");
        return Err(config.refuse("decoder_sparse_step", message));
    }
    let inner = config.size("moe_intermediate_size")?;
    model.ffn.inner = inner;
    let mut experts = softmax_experts(config, "num_experts", inner)?;
    experts.normalise = config.flag_or("norm_topk_prob", false)?;
    model.experts = Some(experts);
    Ok(model)
}
