//! Mixtral: `MixtralConfig`. Mistral with experts in every layer.

use super::rms_decoder::{Defaults, rms_decoder, same_layer_types};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::{Architecture, Experts};

pub(super) const FAMILY: Family =
    Family { model_type: "mixtral", architecture: "MixtralForCausalLM", read };

/// The weights of a token's experts are always normalised.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("attention_bias", false)?;
    let mut model = rms_decoder(config, Defaults { multi_head: false, tied: false })?;
    model.attention.windows = vec![config.size_opt("sliding_window")?];
    same_layer_types(config, &model)?;
    model.experts = Some(softmax_experts(config, "num_local_experts", model.ffn.inner)?);
    Ok(model)
}

/// Experts of inner width `inner` in every layer, scored by a softmax, with normalised weights.
pub(super) fn softmax_experts(
    config: &mut Config,
    count: &str,
    inner: u64,
) -> Result<Experts, Diagnostic> {
    let (count, active) = (config.size(count)?, config.size("num_experts_per_tok")?);
    Ok(Experts::softmax(count, active, inner))
}
