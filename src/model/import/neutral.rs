//! Fields of a `config.json` that leave an inference forward pass alone.

use serde_json::Value;

/// About training, tokens, storage, or the way results are returned; any value.
const ANY_VALUE: &[&str] = &[
    "architectures",
    "attn_implementation",
    "aux_loss_alpha",
    "auto_map",
    "cache_implementation",
    "chunk_size_feed_forward",
    "dtype",
    "ep_size",
    "gradient_checkpointing",
    "id2label",
    "init_std",
    "initializer_range",
    "is_llama_config",
    "label2id",
    "layerdrop",
    "model_type",
    "n_ctx",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "reorder_and_upcast_attn",
    "return_dict",
    "return_dict_in_generate",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "seq_aux",
    "task_specific_params",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "use_bfloat16",
    "use_cache",
];

/// Of these families: summary heads of classifiers, token ids, dropout, which is off in inference.
const PREFIXES: &[&str] = &["summary_", "unsloth_", "_attn_implementation"];
const SUFFIXES: &[&str] = &["_token_id", "_pdrop", "dropout"];

/// Switches that leave things alone as long as they are off.
const OFF: &[&str] = &[
    "add_cross_attention",
    "alibi",
    "attention_bias",
    "is_decoder",
    "is_encoder_decoder",
    "mlp_bias",
    "tie_encoder_decoder",
    "use_mrope",
    "use_sliding_window",
];

/// Whether a field that its family does not read can be passed over.
pub(super) fn is_neutral(key: &str, value: &Value) -> bool {
    ANY_VALUE.contains(&key)
        || PREFIXES.iter().any(|p| key.starts_with(p))
        || SUFFIXES.iter().any(|s| key.ends_with(s))
        || (OFF.contains(&key) && value == &Value::Bool(false))
}
