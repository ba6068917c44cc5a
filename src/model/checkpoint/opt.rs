//! OPT.

use super::{Layout, Part, Wanted};

pub(super) const LAYOUT: Layout = Layout { prefixes: &["model."], ..Layout::new(find) };

const TABLE: &[(&str, &str)] = &[
    ("embed.tokens", "model.decoder.embed_tokens"),
    ("embed.positions", "model.decoder.embed_positions"),
    ("attn.norm", "model.decoder.layers.{}.self_attn_layer_norm"),
    ("attn.q", "model.decoder.layers.{}.self_attn.q_proj"),
    ("attn.k", "model.decoder.layers.{}.self_attn.k_proj"),
    ("attn.v", "model.decoder.layers.{}.self_attn.v_proj"),
    ("attn.out", "model.decoder.layers.{}.self_attn.out_proj"),
    ("ffn.norm", "model.decoder.layers.{}.final_layer_norm"),
    ("ffn.up", "model.decoder.layers.{}.fc1"),
    ("ffn.down", "model.decoder.layers.{}.fc2"),
    ("head.norm", "model.decoder.final_layer_norm"),
    ("head.logits", "lm_head"),
];

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    w.find(TABLE).map(|part| vec![part])
}
