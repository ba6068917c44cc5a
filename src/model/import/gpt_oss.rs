//! gpt-oss: `GptOssConfig` (arXiv 2508.10925). Experts in every layer, a learned score per head in
//! the softmax, every other layer with a window.

use super::rms_decoder::{Defaults, rms_decoder, same_layer_types};
use super::{Family, config::Config};
use crate::diagnostic::{Diagnostic, clip};
use crate::model::{Activation, Architecture, Experts, Position, RopeScaling, Scoring};

pub(super) const FAMILY: Family =
    Family { model_type: "gpt_oss", architecture: "GptOssForCausalLM", read };

/// Factor in the sigmoid of the gate, `x sigmoid(1.702 x)`: that of [`Activation::GeluSigmoid`].
const ALPHA: f64 = 1.702;
/// `swiglu_limit` where the file leaves it out.
const LIMIT: f64 = 7.0;

/// The class's own base and scaling of rotation apply where a file gives none: such a file is
/// refused. `hidden_act` names no function that is computed, and must be `silu` as published.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.require("attention_bias")?;
    config.require("head_dim")?;
    if !config.gives("rope_parameters", "rope_theta") {
        config.require("rope_theta")?;
    }
    let mut model = rms_decoder(config, Defaults { multi_head: false, tied: false })?;
    if model.ffn.activation != Activation::Silu {
        let message = "`hidden_act` is not `silu` in a `gpt_oss` model".to_owned();
        return Err(config.refuse("hidden_act", message));
    }
    only_alpha(config)?;
    scaled(config, &model)?;
    model.attention.windows = vec![Some(config.size("sliding_window")?), None];
    same_layer_types(config, &model)?;
    model.attention.sinks = true;
    (model.ffn.activation, model.ffn.bias) = (Activation::GeluSigmoid, true);
    model.experts = Some(Experts {
        count: one_of(config, "num_local_experts", "num_experts")?,
        active: one_of(config, "num_experts_per_tok", "experts_per_token")?,
        inner: model.ffn.inner,
        shared: None,
        scoring: Scoring::TopKSoftmax,
        normalise: false,
        groups: None,
        scaling: 1.0,
        correction: false,
        router_bias: true,
        limit: Some(config.real_opt("swiglu_limit")?.unwrap_or(LIMIT)),
        dense_layers: 0,
    });
    Ok(model)
}

fn only_alpha(config: &mut Config) -> Result<(), Diagnostic> {
    match config.real_opt("swiglu_alpha")? {
        Some(alpha) if alpha != ALPHA => {
            let message = format!("`swiglu_alpha` {alpha} is not supported, only {ALPHA}");
            Err(config.refuse("swiglu_alpha", message))
        }
        _ => Ok(()),
    }
}

/// Refuses a file without YaRN, and one whose trained context is given twice, differently.
fn scaled(config: &mut Config, model: &Architecture) -> Result<(), Diagnostic> {
    let Position::Rope { scaling: Some(RopeScaling::Yarn { original_context, .. }), .. } =
        model.position
    else {
        return Err(config.missing("rope_scaling").hint("YaRN, as the published files have it"));
    };
    match config.size_opt("initial_context_length")? {
        Some(found) if found != original_context => {
            let message = format!(
                "`initial_context_length` {found} is not the {original_context} of the scaling"
            );
            Err(config.refuse("initial_context_length", message))
        }
        _ => Ok(()),
    }
}

/// A size that files give under either name, or under both.
fn one_of(config: &mut Config, name: &str, other: &str) -> Result<u64, Diagnostic> {
    let (first, second) = (config.size_opt(name)?, config.size_opt(other)?);
    match (first, second) {
        (Some(a), Some(b)) if a != b => {
            let message = format!("`{}` is {b}, but `{}` is {a}", clip(other), clip(name));
            Err(config.refuse(other, message))
        }
        (Some(size), _) | (None, Some(size)) => Ok(size),
        (None, None) => Err(config.missing(name)),
    }
}
