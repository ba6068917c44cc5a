//! OLMo-2: `Olmo2Config`. Norms behind the sub-layers alone, and over all query and all key heads.

use super::rms_decoder::{Defaults, rms_decoder};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::{Architecture, QkNorm};

pub(super) const FAMILY: Family =
    Family { model_type: "olmo2", architecture: "Olmo2ForCausalLM", read };

fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    let mut model = rms_decoder(config, Defaults { multi_head: true, tied: false })?;
    (model.norm.pre, model.norm.post) = (false, true);
    model.attention.qk_norm = QkNorm::Row;
    Ok(model)
}
