//! Llama 1 to 3.x and models of the same form (SmolLM2, Yi, TinyLlama): `LlamaConfig`.

use super::rms_decoder::{Defaults, rms_decoder};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::Architecture;

pub(super) const FAMILY: Family =
    Family { model_type: "llama", architecture: "LlamaForCausalLM", read };

/// `attention_bias` is on all four projections, `mlp_bias` on all three. SmolLM2 files carry
/// `rope_interleaved: false`, which `transformers` does not read.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    let model = rms_decoder(config, Defaults { multi_head: true, tied: false })?;
    config.only("rope_interleaved", false)?;
    Ok(model)
}
