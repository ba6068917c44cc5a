//! Hugging Face `config.json` to [`Architecture`]: one file per family, one list of them.
//!
//! Every field of the file is either read by its family, or known to leave the mathematics alone
//! (`neutral.rs`), or refused by name: nothing is guessed. Absent fields take the default of the
//! family's configuration class in `transformers` where its published files leave them out, and
//! are otherwise refused.

mod bloom;
mod cohere;
mod config;
mod deepseek;
mod deepseek_v2;
mod deepseek_v3;
mod falcon;
mod gemma2;
mod gemma3;
mod gpt2;
mod gpt_neox;
mod gpt_oss;
mod gptj;
mod llama;
mod mistral;
mod mixtral;
mod neutral;
mod olmo2;
mod opt;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod rms_decoder;
mod rope;
mod t5;
mod whisper;

use super::check::{Refusal, check};
use super::{Architecture, Output};
use crate::diagnostic::{Diagnostic, clip};
use crate::yaml::Source;
use config::Config;

/// A family of models that share one configuration class.
struct Family {
    /// `model_type` in the file.
    model_type: &'static str,
    /// The class that computes logits, as `architectures` names it.
    architecture: &'static str,
    /// Reads the fields.
    read: fn(&mut Config) -> Result<Architecture, Diagnostic>,
}

impl Family {
    /// What a class of the family computes, if it is one of those that are understood.
    fn output(&self, class: &str) -> Option<Output> {
        let heads = ["ForCausalLM", "ForConditionalGeneration", "LMHeadModel"];
        let name = heads.iter().find_map(|head| self.architecture.strip_suffix(head))?;
        // Gemma 3's decoder has a configuration and a class beside those of the multimodal model.
        let name = if self.model_type.ends_with("_text") {
            format!("{name}Text")
        } else {
            name.to_owned()
        };
        match class.strip_prefix(&name) {
            _ if class == self.architecture => Some(Output::Logits),
            Some("Model") => Some(Output::Hidden),
            Some("EncoderModel") if self.model_type == "t5" => Some(Output::Encoded),
            _ => None,
        }
    }
}

/// Every family that is understood; the list that a new one joins.
const FAMILIES: &[Family] = &[
    bloom::FAMILY,
    cohere::FAMILY,
    deepseek_v2::FAMILY,
    deepseek_v3::FAMILY,
    falcon::FAMILY,
    gemma2::FAMILY,
    gemma3::FAMILY,
    gpt2::FAMILY,
    gpt_neox::FAMILY,
    gpt_oss::FAMILY,
    gptj::FAMILY,
    llama::FAMILY,
    mistral::FAMILY,
    mixtral::FAMILY,
    olmo2::FAMILY,
    opt::FAMILY,
    phi3::FAMILY,
    qwen2::FAMILY,
    qwen3::FAMILY,
    qwen3_moe::FAMILY,
    t5::FAMILY,
    whisper::FAMILY,
];

/// The `model_type` of every family that can be imported, in alphabetical order.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|f| f.model_type)
}

/// Reads the text of a Hugging Face `config.json`.
///
/// # Errors
/// Malformed JSON, an unsupported family, a missing field, a field that changes the mathematics
/// in a way that is not modelled, or sizes that do not fit together.
pub fn config_json(text: &str, id: &str) -> Result<Architecture, Diagnostic> {
    config_source(&Source::new("config.json", text), id)
}

/// [`config_json`] for a named text.
///
/// # Errors
/// As [`config_json`].
pub fn config_source(source: &Source, id: &str) -> Result<Architecture, Diagnostic> {
    let mut config = Config::parse(source)?;
    let (family, output) = family(&mut config)?;
    if output != Output::Logits {
        let class = "a class without a head is not priced";
        let hint = format!("`cosim run` runs its checkpoint; to price: {}", family.architecture);
        return Err(Diagnostic::new(class).at(config.place("architectures")).hint(hint));
    }
    architecture(config, family, id)
}

/// The model of a checkpoint's `config.json`, its `model_type` in the list's spelling, and what it ends
/// in: classes without a head, as `LlamaModel`, and encoders without a decoder, as `T5EncoderModel`, are
/// understood too.
///
/// # Errors
/// As [`config_json`].
pub fn checkpoint_source(
    source: &Source,
    id: &str,
) -> Result<(Architecture, &'static str, Output), Diagnostic> {
    let mut config = Config::parse(source)?;
    let (family, output) = family(&mut config)?;
    config.output = output;
    Ok((architecture(config, family, id)?, family.model_type, output))
}

fn architecture(mut config: Config, family: &Family, id: &str) -> Result<Architecture, Diagnostic> {
    config.family = family.model_type;
    let citation = citation(&mut config)?;
    let mut model = (family.read)(&mut config)?;
    config.finish()?;
    (model.id, model.name, model.source) = (id.to_owned(), id.to_owned(), citation);
    check(&model).map(|()| model).map_err(|refusal| explain(&config, refusal))
}

fn family(config: &mut Config) -> Result<(&'static Family, Output), Diagnostic> {
    let model_type = config.text_opt("model_type")?;
    let classes = config.texts("architectures")?;
    let found = FAMILIES.iter().find(|f| match &model_type {
        Some(name) => f.model_type == name,
        None => classes.iter().any(|c| f.output(c).is_some()),
    });
    let supported = || format!("supported: {}", families().collect::<Vec<_>>().join(", "));
    let Some(family) = found else {
        let named = match (classes.first(), &model_type) {
            (Some(class), Some(name)) => format!("`{}` (model_type `{}`)", clip(class), clip(name)),
            (Some(one), None) | (None, Some(one)) => format!("`{}`", clip(one)),
            (None, None) => {
                let message = "neither `model_type` nor `architectures` is there";
                return Err(config
                    .refuse_file(message)
                    .hint("is this a Hugging Face config.json?"));
            }
        };
        let message = format!("architecture {named} is not supported");
        let key = if model_type.is_some() { "model_type" } else { "architectures" };
        return Err(Diagnostic::new(message).at(config.place(key)).hint(supported()));
    };
    let output = classes.iter().find_map(|class| family.output(class));
    match (classes.first(), output) {
        (Some(class), None) => {
            let message = format!("architecture `{}` is not supported", clip(class));
            let hint = format!("of model_type `{}`: {}", family.model_type, family.architecture);
            Err(Diagnostic::new(message).at(config.place("architectures")).hint(hint))
        }
        (_, output) => Ok((family, output.unwrap_or_default())),
    }
}

/// Where the numbers come from, with what was knowingly left aside.
fn citation(config: &mut Config) -> Result<String, Diagnostic> {
    let named = config.text_opt("_name_or_path")?.filter(|n| !n.is_empty());
    let mut text = "Hugging Face config.json".to_owned();
    if let Some(name) = named {
        text += &format!(" of {}", clip(&name));
    }
    if config.take("quantization_config").is_some() {
        text += "; quantization_config not read: a scenario's `quant` sets number formats";
    }
    Ok(text)
}

/// A refusal by the shared checks, at the field of the file that it is about.
fn explain(config: &Config, refusal: Refusal) -> Diagnostic {
    let keys: &[&str] = match refusal.field {
        "vocabulary" => &["vocab_size"],
        "hidden" => &["hidden_size", "n_embd", "n_embed", "d_model"],
        "layers" => &["num_hidden_layers", "n_layer", "num_decoder_layers", "decoder_layers"],
        "max_context" => &["max_position_embeddings", "n_positions", "seq_length"],
        "encoder.layers" => &["num_layers", "encoder_layers"],
        "encoder.max_source" => &["max_source_positions", "n_positions"],
        "encoder.input" => &["num_mel_bins"],
        "position.relative.buckets" => &["relative_attention_num_buckets"],
        "position.relative.max_distance" => &["relative_attention_max_distance"],
        "attention.heads" => {
            &["num_attention_heads", "n_head", "num_heads", "decoder_attention_heads"]
        }
        "attention.kv_heads" => &["num_key_value_heads", "num_kv_heads"],
        "attention.head_dim" => &["head_dim", "d_kv"],
        "attention.scale" => &["query_pre_attn_scalar"],
        "attention.softcap" => &["attn_logit_softcapping"],
        "attention.windows" => &["sliding_window"],
        "position.rope.theta" => &["rope_theta", "rope_parameters"],
        "position.rope.rotary_dim" => &["rotary_dim", "partial_rotary_factor", "head_dim"],
        "position.rope.scaling" => &["rope_scaling", "rope_parameters"],
        "ffn.inner" => &[
            "intermediate_size",
            "ffn_dim",
            "n_inner",
            "ffn_hidden_size",
            "d_ff",
            "decoder_ffn_dim",
        ],
        "attention.latent" => &["kv_lora_rank"],
        "experts.count" => &["num_local_experts", "num_experts", "n_routed_experts"],
        "experts.active" => &["num_experts_per_tok", "experts_per_token"],
        "experts.inner" => &["moe_intermediate_size", "intermediate_size"],
        "experts.shared" => &["n_shared_experts"],
        "experts.groups" => &["n_group"],
        "experts.scaling" => &["routed_scaling_factor"],
        "experts.dense_layers" => &["first_k_dense_replace"],
        "experts.limit" => &["swiglu_limit"],
        "norm.epsilon" => &["rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps"],
        "head.softcap" => &["final_logit_softcapping"],
        _ => &[],
    };
    let place = keys.iter().find_map(|key| config.place(key));
    Diagnostic::new(refusal.message).at(place).hint_opt(refusal.hint)
}

#[cfg(test)]
mod tests;
