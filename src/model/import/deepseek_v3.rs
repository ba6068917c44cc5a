//! DeepSeek-V3: `DeepseekV3Config` (arXiv 2412.19437). Experts scored by a sigmoid, chosen with a
//! correction bias. Layers that predict further tokens (`num_nextn_predict_layers`) are left out.

use super::deepseek::{deepseek, refused_word};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::{Architecture, Groups, Pairing, Position, Scoring};

pub(super) const FAMILY: Family =
    Family { model_type: "deepseek_v3", architecture: "DeepseekV3ForCausalLM", read };

/// A group is as good as the sum of its two best experts; one group alone is no choice. The class
/// computes but one scoring and one choice, also where the file does not name them.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    let (mut model, mut experts) = deepseek(config)?;
    config.take("num_nextn_predict_layers");
    if let (false, Position::Rope { pairing, .. }) =
        (config.flag_or("rope_interleave", true)?, &mut model.position)
    {
        *pairing = Pairing::Half;
    }
    for (key, modelled) in [("scoring_func", "sigmoid"), ("topk_method", "noaux_tc")] {
        if let Some(found) = config.text_opt(key)?.filter(|found| found != modelled) {
            return Err(refused_word(config, key, &found, &format!("supported: {modelled}")));
        }
    }
    let groups =
        Groups { count: config.size("n_group")?, active: config.size("topk_group")?, best: 2 };
    experts.groups = (groups.count != 1).then_some(groups);
    experts.normalise = config.flag_or("norm_topk_prob", true)?;
    (experts.scoring, experts.correction) = (Scoring::Sigmoid, true);
    model.experts = Some(experts);
    Ok(model)
}
