//! Falcon: query, key and value in one matrix: the query heads of a key head, then it and its value.

use super::{Layout, Part, Wanted};
use crate::model::Block;

pub(super) const LAYOUT: Layout = Layout { prefixes: &["transformer."], ..Layout::new(find) };

const TABLE: &[(&str, &str)] = &[
    ("embed.tokens", "transformer.word_embeddings"),
    ("attn.out", "transformer.h.{}.self_attention.dense"),
    ("ffn.up", "transformer.h.{}.mlp.dense_h_to_4h"),
    ("ffn.down", "transformer.h.{}.mlp.dense_4h_to_h"),
    ("head.norm", "transformer.ln_f"),
    ("head.logits", "lm_head"),
];

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let (node, ending) = w.split();
    let a = &w.arch.attention;
    let two = w.arch.block == Block::Parallel { norms: 2 };
    let named =
        |stored: &str| Some(vec![w.named(&format!("transformer.h.{{}}.{stored}.{ending}"))]);
    match node {
        "attn.norm" if two => return named("ln_attn"),
        "ffn.norm" if two => return named("ln_mlp"),
        "attn.norm" => return named("input_layernorm"),
        "ffn.norm" => return named("post_attention_layernorm"),
        _ => {}
    }
    let group = a.heads / a.kv_heads;
    let piece = match node {
        "attn.q" => (0, group * a.head_dim),
        "attn.k" => (group * a.head_dim, a.head_dim),
        "attn.v" => ((group + 1) * a.head_dim, a.head_dim),
        _ => return w.find(TABLE).map(|part| vec![part]),
    };
    let part = w.named(&format!("transformer.h.{{}}.self_attention.query_key_value.{ending}"));
    Some(vec![part.runs((group + 2) * a.head_dim, a.kv_heads, vec![piece])])
}
