//! Rotary embedding fields: `rope_theta`, `rope_scaling`, and their newer form `rope_parameters`.

use super::config::Config;
use crate::diagnostic::{Diagnostic, clip};
use crate::model::{Pairing, Position, RopeScaling};

/// `rope_theta` of every supported configuration class where the file leaves it out.
pub(super) const DEFAULT_THETA: f64 = 10_000.0;
/// YaRN's bounds where the file leaves them out (arXiv 2309.00071, section 3.2).
const YARN_BETA: [f64; 2] = [32.0, 1.0];

/// Rotary positions of heads of `head_dim` elements, pairs half a head apart.
pub(super) fn rope(config: &mut Config, head_dim: u64) -> Result<Position, Diagnostic> {
    let mut theta = config.real_opt("rope_theta")?;
    let mut part = config.real_opt("partial_rotary_factor")?;
    let mut scaling = None;
    if let Some(mut nested) = config.object("rope_scaling")? {
        scaling = read_scaling(&mut nested)?;
        nested.finish()?;
    }
    if let Some(mut nested) = config.object("rope_parameters")? {
        theta = nested.real_opt("rope_theta")?.or(theta);
        part = nested.real_opt("partial_rotary_factor")?.or(part);
        scaling = read_scaling(&mut nested)?.or(scaling);
        nested.finish()?;
    }
    Ok(Position::Rope {
        theta: theta.unwrap_or(DEFAULT_THETA),
        rotary_dim: part.map_or(head_dim, |part| (head_dim as f64 * part) as u64),
        pairing: Pairing::Half,
        scaling,
        local_theta: None,
    })
}

/// One object that describes the scaling; `None` where it is the default, none.
pub(super) fn read_scaling(config: &mut Config) -> Result<Option<RopeScaling>, Diagnostic> {
    let old = config.text_opt("type")?;
    let Some(kind) = config.text_opt("rope_type")?.or(old) else {
        return Err(config.missing("rope_type"));
    };
    match kind.as_str() {
        "default" => Ok(None),
        "linear" => Ok(Some(RopeScaling::Linear { factor: config.real("factor")? })),
        "llama3" => Ok(Some(RopeScaling::Llama3 {
            factor: config.real("factor")?,
            low_freq_factor: config.real("low_freq_factor")?,
            high_freq_factor: config.real("high_freq_factor")?,
            original_context: config.size("original_max_position_embeddings")?,
        })),
        "yarn" => yarn(config).map(Some),
        other => {
            let message = format!("rope scaling `{}` is not supported", clip(other));
            let hint = "supported: default, linear, llama3, yarn";
            Err(config.refuse("rope_type", message).hint(hint))
        }
    }
}

/// YaRN; the attention factor is `0.1 ln(factor) + 1` where absent (arXiv 2309.00071, eq. 22).
fn yarn(config: &mut Config) -> Result<RopeScaling, Diagnostic> {
    let factor = config.real("factor")?;
    let by_formula = if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 };
    Ok(RopeScaling::Yarn {
        factor,
        original_context: config.size("original_max_position_embeddings")?,
        beta_fast: config.real_opt("beta_fast")?.unwrap_or(YARN_BETA[0]),
        beta_slow: config.real_opt("beta_slow")?.unwrap_or(YARN_BETA[1]),
        attention_factor: config.real_opt("attention_factor")?.unwrap_or(by_formula),
        truncate: config.flag_or("truncate", true)?,
    })
}
