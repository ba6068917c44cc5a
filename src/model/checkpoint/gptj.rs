//! GPT-J.

use super::{Layout, Part, Wanted};

pub(super) const LAYOUT: Layout = Layout {
    ignored: &[".attn.bias", ".attn.masked_bias"],
    prefixes: &["transformer."],
    ..Layout::new(find)
};

const TABLE: &[(&str, &str)] = &[
    ("embed.tokens", "transformer.wte"),
    ("attn.norm", "transformer.h.{}.ln_1"),
    ("attn.q", "transformer.h.{}.attn.q_proj"),
    ("attn.k", "transformer.h.{}.attn.k_proj"),
    ("attn.v", "transformer.h.{}.attn.v_proj"),
    ("attn.out", "transformer.h.{}.attn.out_proj"),
    ("ffn.up", "transformer.h.{}.mlp.fc_in"),
    ("ffn.down", "transformer.h.{}.mlp.fc_out"),
    ("head.norm", "transformer.ln_f"),
    ("head.logits", "lm_head"),
];

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    w.find(TABLE).map(|part| vec![part])
}
