//! What DeepSeek-V2 and V3 share: latent attention, shared and routed experts behind dense layers.
//!
//! The published kernel stores a head's own elements before its rotated ones, the graph the other
//! way round: a matter of the order of rows in a checkpoint, which no count sees.

use super::config::Config;
use super::rms_decoder::around;
use super::rope::{DEFAULT_THETA, Lengths, read_scaling};
use crate::diagnostic::Diagnostic;
use crate::model::{
    Architecture, Attention, Experts, Latent, LatentForm, Pairing, Position, RopeScaling, Scoring,
};

/// Reads everything but how experts are chosen: `experts` has a softmax without groups.
pub(super) fn deepseek(config: &mut Config) -> Result<(Architecture, Experts), Diagnostic> {
    config.only("attention_bias", false)?;
    config.only("mlp_bias", false)?;
    let hidden = config.size("hidden_size")?;
    let attended = attention(config)?;
    let mut model = around(config, hidden, attended, (false, "rms_norm_eps"))?;
    let experts = experts(config)?;
    if experts.dense_layers == 0 {
        model.ffn.inner = experts.inner;
    }
    Ok((model, experts))
}

/// Latent attention (arXiv 2405.04434, section 2.1) and its rotation. Scores are scaled with
/// `1 / sqrt(head_dim)`, times the square of YaRN's factor for `mscale_all_dim`.
fn attention(config: &mut Config) -> Result<(Attention, Position), Diagnostic> {
    let heads = config.size("num_attention_heads")?;
    let kv_heads = config.size_opt("num_key_value_heads")?.unwrap_or(heads);
    let (own, rotary_dim) = (config.size("qk_nope_head_dim")?, config.size("qk_rope_head_dim")?);
    let head_dim = own.checked_add(rotary_dim).ok_or_else(|| {
        config.refuse("qk_nope_head_dim", "`qk_nope_head_dim` is too large".to_owned())
    })?;
    agree(config, "head_dim", rotary_dim)?;
    agree(config, "qk_head_dim", head_dim)?;
    let latent = Latent {
        query: config.size_opt("q_lora_rank")?,
        key_value: config.size("kv_lora_rank")?,
        value: config.size("v_head_dim")?,
        form: LatentForm::Auto,
    };
    let (position, factor) = rope(config, rotary_dim)?;
    let attention = Attention {
        scale: factor * factor / (head_dim as f64).sqrt(),
        latent: Some(latent),
        ..Attention::plain((heads, kv_heads), head_dim, false)
    };
    Ok((attention, position))
}

/// A size that follows from others, where the file repeats it.
fn agree(config: &mut Config, key: &str, expected: u64) -> Result<(), Diagnostic> {
    match config.size_opt(key)? {
        Some(found) if found != expected => {
            let message = format!("`{key}` is {found}, but the heads' parts make it {expected}");
            Err(config.refuse(key, message))
        }
        _ => Ok(()),
    }
}

/// Interleaved rotation of `rotary_dim` elements, and the factor of the scores, whose square counts.
fn rope(config: &mut Config, rotary_dim: u64) -> Result<(Position, f64), Diagnostic> {
    let mut theta = config.real_opt("rope_theta")?;
    let mut found = (None, 1.0);
    let lengths = Lengths::of(config);
    if let Some(mut nested) = config.object("rope_scaling")? {
        found = scaling(&mut nested, lengths)?;
        nested.finish()?;
    }
    if let Some(mut nested) = config.object("rope_parameters")? {
        theta = nested.real_opt("rope_theta")?.or(theta);
        found = scaling(&mut nested, lengths)?;
        nested.finish()?;
    }
    let position = Position::Rope {
        theta: theta.unwrap_or(DEFAULT_THETA),
        rotary_dim,
        pairing: Pairing::Interleaved,
        scaling: found.0,
        local_theta: None,
    };
    Ok((position, found.1))
}

/// YaRN's temperature stands in two places: sine and cosine have the quotient of the factors for
/// `mscale` and `mscale_all_dim`, the scores the square of the latter.
fn scaling(
    config: &mut Config,
    lengths: Lengths,
) -> Result<(Option<RopeScaling>, f64), Diagnostic> {
    let given = config.has("attention_factor");
    let mut scaling = read_scaling(config, lengths)?;
    let Some(RopeScaling::Yarn { factor, attention_factor, .. }) = &mut scaling else {
        return Ok((scaling, 1.0));
    };
    let all = temperature(*factor, config.real_opt("mscale_all_dim")?.unwrap_or(0.0));
    let own = temperature(*factor, config.real_opt("mscale")?.unwrap_or(1.0));
    if !given {
        *attention_factor = own / all;
    }
    Ok((scaling, all))
}

/// `0.1 mscale ln(factor) + 1` (arXiv 2309.00071, eq. 22, with DeepSeek's weight).
fn temperature(factor: f64, mscale: f64) -> f64 {
    if factor > 1.0 { 0.1 * mscale * factor.ln() + 1.0 } else { 1.0 }
}

fn experts(config: &mut Config) -> Result<Experts, Diagnostic> {
    let every = config.size_opt("moe_layer_freq")?.unwrap_or(1);
    if every != 1 {
        let message = format!("`moe_layer_freq` {every} is not supported, only 1");
        return Err(config.refuse("moe_layer_freq", message));
    }
    let inner = config.size("moe_intermediate_size")?;
    let shared = config.size_opt("n_shared_experts")?.filter(|&count| count > 0);
    Ok(Experts {
        count: config.size("n_routed_experts")?,
        active: config.size("num_experts_per_tok")?,
        inner,
        shared: shared.map(|count| count.saturating_mul(inner)),
        scoring: Scoring::Softmax,
        normalise: false,
        groups: None,
        scaling: config.real("routed_scaling_factor")?,
        correction: false,
        router_bias: false,
        limit: None,
        dense_layers: config.size("first_k_dense_replace")?,
    })
}

/// Refuses another word than the one whose mathematics is modelled.
pub(super) fn refused_word(config: &Config, key: &str, found: &str, hint: &str) -> Diagnostic {
    let found = crate::diagnostic::clip(found);
    let message = format!("`{key}: {found}` is not supported in a `{}` model", config.family);
    config.refuse(key, message).hint(hint)
}
