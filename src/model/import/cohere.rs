//! Command R: `CohereConfig`. Layer norms without bias, attention and network side by side behind one norm,
//! rotation of neighbours, scaled logits.

use super::Family;
use super::config::Config;
use super::rms_decoder::{Defaults, decoder};
use crate::diagnostic::Diagnostic;
use crate::model::{Architecture, Block, NormKind, Pairing, Position, QkNorm};

pub(super) const FAMILY: Family =
    Family { model_type: "cohere", architecture: "CohereForCausalLM", read };

/// `logit_scale` of the class where the file leaves it out.
const LOGIT_SCALE: f64 = 0.0625;

/// The files leave out `tie_word_embeddings`, which is true.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    let defaults = Defaults { multi_head: true, tied: true };
    let mut model = decoder(config, defaults, "layer_norm_eps")?;
    model.norm.kind = NormKind::Layer;
    model.block = Block::Parallel { norms: 1 };
    model.head.scale = Some(config.real_opt("logit_scale")?.unwrap_or(LOGIT_SCALE));
    if config.flag_or("use_qk_norm", false)? {
        model.attention.qk_norm = QkNorm::OwnHead;
    }
    if let Position::Rope { pairing, .. } = &mut model.position {
        *pairing = Pairing::Interleaved;
    }
    Ok(model)
}
