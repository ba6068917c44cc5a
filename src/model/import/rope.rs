//! Rotary embedding fields: `rope_theta`, `rope_scaling`, and their newer form `rope_parameters`.

use super::config::Config;
use crate::diagnostic::{Diagnostic, clip};
use crate::model::{Pairing, Position, RopeScaling};

/// Longest sequences that a file states beside the scaling, in tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    /// `max_position_embeddings`.
    longest: Option<u64>,
    /// `original_max_position_embeddings`: as trained before the context was stretched.
    original: Option<u64>,
}

impl Lengths {
    /// Those of the file, which stay to be read.
    pub fn of(config: &Config) -> Self {
        Self {
            longest: config.peek("max_position_embeddings"),
            original: config.peek("original_max_position_embeddings"),
        }
    }
}

/// `rope_theta` of every supported configuration class where the file leaves it out.
pub(super) const DEFAULT_THETA: f64 = 10_000.0;
/// YaRN's bounds where the file leaves them out (arXiv 2309.00071, section 3.2).
const YARN_BETA: [f64; 2] = [32.0, 1.0];

/// Rotary positions of heads of `head_dim` elements, pairs half a head apart.
pub(super) fn rope(config: &mut Config, head_dim: u64) -> Result<Position, Diagnostic> {
    let mut theta = config.real_opt("rope_theta")?;
    let mut part = config.real_opt("partial_rotary_factor")?;
    let mut scaling = None;
    let lengths = Lengths::of(config);
    if let Some(mut nested) = config.object("rope_scaling")? {
        scaling = read_scaling(&mut nested, lengths)?;
        nested.finish()?;
    }
    if let Some(mut nested) = config.object("rope_parameters")? {
        theta = nested.real_opt("rope_theta")?.or(theta);
        part = nested.real_opt("partial_rotary_factor")?.or(part);
        scaling = read_scaling(&mut nested, lengths)?.or(scaling);
        nested.finish()?;
    }
    if let Some(RopeScaling::LongRope { .. }) = scaling {
        config.take("original_max_position_embeddings");
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
pub(super) fn read_scaling(
    config: &mut Config,
    lengths: Lengths,
) -> Result<Option<RopeScaling>, Diagnostic> {
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
        // `su` is the name that the first files of Phi-3 had for it.
        "longrope" | "su" => longrope(config, lengths).map(Some),
        other => {
            let message = format!("rope scaling `{}` is not supported", clip(other));
            let hint = "supported: default, linear, llama3, yarn, longrope";
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

/// LongRoPE. The attention factor is `sqrt(1 + ln(s) / ln(original))` where absent, `s` how far the context
/// was stretched (arXiv 2402.13753, Phi-3's code); a `factor` in the file does not count.
fn longrope(config: &mut Config, lengths: Lengths) -> Result<RopeScaling, Diagnostic> {
    let own = config.size_opt("original_max_position_embeddings")?;
    let absent = || {
        let hint = "`longrope` changes its factors beyond that length";
        config.refuse_file("missing field `original_max_position_embeddings`").hint(hint)
    };
    let original_context = lengths.original.or(own).ok_or_else(absent)?;
    config.take("factor");
    let original = original_context as f64;
    let stretch = lengths.longest.unwrap_or(original_context) as f64 / original;
    let by_formula = if stretch > 1.0 { (1.0 + stretch.ln() / original.ln()).sqrt() } else { 1.0 };
    Ok(RopeScaling::LongRope {
        short: config.reals("short_factor")?,
        long: config.reals("long_factor")?,
        original_context,
        attention_factor: config.real_opt("attention_factor")?.unwrap_or(by_formula),
    })
}
