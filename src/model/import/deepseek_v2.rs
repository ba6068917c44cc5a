//! DeepSeek-V2: `DeepseekV2Config` (arXiv 2405.04434). Experts scored by a softmax.

use super::deepseek::{deepseek, refused_word};
use super::{Family, config::Config};
use crate::diagnostic::Diagnostic;
use crate::model::{Architecture, Groups};

pub(super) const FAMILY: Family =
    Family { model_type: "deepseek_v2", architecture: "DeepseekV2ForCausalLM", read };

/// A group is as good as its best expert. Under `greedy` groups are not read. Implementations differ
/// on what `norm_topk_prob` does with the scaling factor: only `false`, as published, is read.
fn read(config: &mut Config) -> Result<Architecture, Diagnostic> {
    let (mut model, mut experts) = deepseek(config)?;
    config.only("norm_topk_prob", false)?;
    if let Some(found) = config.text_opt("scoring_func")?.filter(|f| f != "softmax") {
        return Err(refused_word(config, "scoring_func", &found, "supported: softmax"));
    }
    let method = config.text_opt("topk_method")?.ok_or_else(|| config.missing("topk_method"))?;
    match method.as_str() {
        "greedy" => {
            config.take("n_group");
            config.take("topk_group");
        }
        "group_limited_greedy" => {
            let (count, active) = (config.size("n_group")?, config.size("topk_group")?);
            experts.groups = Some(Groups { count, active, best: 1 });
        }
        other => {
            let hint = "supported: greedy, group_limited_greedy";
            return Err(refused_word(config, "topk_method", other, hint));
        }
    }
    model.experts = Some(experts);
    Ok(model)
}
