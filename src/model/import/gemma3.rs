//! Gemma 3, the text model: `Gemma3TextConfig`. Five windowed layers and a full one, each kind with
//! its own base of rotation, queries and keys normed, else as Gemma 2 without caps.

use super::rms_decoder::{Defaults, rms_decoder, same_layer_types};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::{Architecture, Position, QkNorm};

pub(super) const FAMILY: Family =
    Family { model_type: "gemma3_text", architecture: "Gemma3ForCausalLM", read };

/// The window pattern's length and the local base are the class's defaults where files leave them
/// out (`sliding_window_pattern` 6, `rope_local_base_freq` 10000).
const PATTERN: u64 = 6;
const LOCAL_THETA: f64 = 10_000.0;

fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    config.only("mlp_bias", false)?;
    config.only("use_bidirectional_attention", false)?;
    config.require("head_dim")?;
    let mut model = rms_decoder(config, Defaults { multi_head: false, tied: true })?;
    let window = config.size("sliding_window")?;
    // Files of newer versions repeat the pattern's length under a private name.
    let private = config.size_opt("_sliding_window_pattern")?;
    let pattern = config.size_opt("sliding_window_pattern")?.or(private).unwrap_or(PATTERN);
    if pattern == 0 {
        let message = "`sliding_window_pattern` is 0".to_owned();
        return Err(config.refuse("sliding_window_pattern", message));
    }
    // A model may be shallower than its pattern.
    let windows = (1..=pattern.min(model.layers)).map(|i| (i < pattern).then_some(window));
    model.attention.windows = windows.collect();
    same_layer_types(config, &model)?;
    model.attention.scale = 1.0 / config.real("query_pre_attn_scalar")?.sqrt();
    model.attention.softcap = config.real_opt("attn_logit_softcapping")?;
    model.head.softcap = config.real_opt("final_logit_softcapping")?;
    model.attention.qk_norm = QkNorm::Head;
    model.norm.unit_offset = true;
    model.norm.post = true;
    model.embedding.scale = Some((model.hidden as f64).sqrt());
    let local = config.real_opt("rope_local_base_freq")?.unwrap_or(LOCAL_THETA);
    if let Position::Rope { local_theta, .. } = &mut model.position {
        *local_theta = Some(local);
    }
    Ok(model)
}
