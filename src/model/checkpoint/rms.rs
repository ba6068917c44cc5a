//! Llama and what is written like it: Mistral, Qwen, Gemma, Cohere, OLMo-2.

use super::{Layout, Part, Wanted};

pub(super) const LAYOUT: Layout =
    Layout { ignored: &["rotary_emb.inv_freq"], prefixes: &["model."], ..Layout::new(find) };

const TABLE: &[(&str, &str)] = &[
    ("embed.tokens", "model.embed_tokens"),
    ("attn.q", "model.layers.{}.self_attn.q_proj"),
    ("attn.k", "model.layers.{}.self_attn.k_proj"),
    ("attn.v", "model.layers.{}.self_attn.v_proj"),
    ("attn.out", "model.layers.{}.self_attn.o_proj"),
    ("attn.q_norm", "model.layers.{}.self_attn.q_norm"),
    ("attn.k_norm", "model.layers.{}.self_attn.k_norm"),
    ("attn.norm", "model.layers.{}.input_layernorm"),
    ("ffn.gate", "model.layers.{}.mlp.gate_proj"),
    ("ffn.up", "model.layers.{}.mlp.up_proj"),
    ("ffn.down", "model.layers.{}.mlp.down_proj"),
    ("experts.router", "model.layers.{}.mlp.gate"),
    ("shared.gate", "model.layers.{}.mlp.shared_experts.gate_proj"),
    ("shared.up", "model.layers.{}.mlp.shared_experts.up_proj"),
    ("shared.down", "model.layers.{}.mlp.shared_experts.down_proj"),
    ("head.norm", "model.norm"),
    ("head.logits", "lm_head"),
];

/// Names of a dense layer's and of each expert's projections.
pub(super) fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let post = w.arch.norm.post;
    let one = |stored: &str| Some(vec![w.named(stored)]);
    match w.name {
        // Where norms stand behind the sub-layers too, the one before the network has a name of its own.
        "ffn.norm.weight" if post => one("model.layers.{}.pre_feedforward_layernorm.weight"),
        "ffn.norm.weight" => one("model.layers.{}.post_attention_layernorm.weight"),
        "attn.post_norm.weight" => one("model.layers.{}.post_attention_layernorm.weight"),
        "ffn.post_norm.weight" => one("model.layers.{}.post_feedforward_layernorm.weight"),
        "experts.route.bias" => one("model.layers.{}.mlp.gate.e_score_correction_bias"),
        "experts.gate.weight" => Some(experts(w, "gate_proj")),
        "experts.up.weight" => Some(experts(w, "up_proj")),
        "experts.down.weight" => Some(experts(w, "down_proj")),
        _ => w.find(TABLE).map(|part| vec![part]),
    }
}

/// The matrices of all experts, one behind another.
fn experts(w: &Wanted<'_>, projection: &str) -> Vec<Part> {
    let count = w.arch.experts.map_or(0, |e| e.count);
    let name = |e| format!("model.layers.{}.mlp.experts.{e}.{projection}.weight", w.layer);
    (0..count).map(|e| Part::new(name(e))).collect()
}
