//! GPT-NeoX (Pythia): query, key and value of a head lie together.

use super::{Layout, Part, Wanted};

pub(super) const LAYOUT: Layout = Layout {
    ignored: &[".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"],
    prefixes: &["gpt_neox."],
    ..Layout::new(find)
};

const TABLE: &[(&str, &str)] = &[
    ("embed.tokens", "gpt_neox.embed_in"),
    ("attn.norm", "gpt_neox.layers.{}.input_layernorm"),
    ("attn.out", "gpt_neox.layers.{}.attention.dense"),
    ("ffn.norm", "gpt_neox.layers.{}.post_attention_layernorm"),
    ("ffn.up", "gpt_neox.layers.{}.mlp.dense_h_to_4h"),
    ("ffn.down", "gpt_neox.layers.{}.mlp.dense_4h_to_h"),
    ("head.norm", "gpt_neox.final_layer_norm"),
    ("head.logits", "embed_out"),
];

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let (node, ending) = w.split();
    let a = &w.arch.attention;
    let Some(which) = ["attn.q", "attn.k", "attn.v"].iter().position(|n| *n == node) else {
        return w.find(TABLE).map(|part| vec![part]);
    };
    let part = w.named(&format!("gpt_neox.layers.{{}}.attention.query_key_value.{ending}"));
    // Query, key and value of a head behind one another.
    Some(vec![part.runs(3 * a.head_dim, a.heads, vec![(which as u64 * a.head_dim, a.head_dim)])])
}
