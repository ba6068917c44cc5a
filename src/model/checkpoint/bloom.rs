//! BLOOM: query, key and value of a head lie together.

use super::{Layout, Part, Wanted};

pub(super) const LAYOUT: Layout =
    Layout { ignored: &[], prefixes: &["transformer."], ..Layout::new(find) };

const TABLE: &[(&str, &str)] = &[
    ("embed.tokens", "transformer.word_embeddings"),
    ("embed.norm", "transformer.word_embeddings_layernorm"),
    ("attn.norm", "transformer.h.{}.input_layernorm"),
    ("attn.out", "transformer.h.{}.self_attention.dense"),
    ("ffn.norm", "transformer.h.{}.post_attention_layernorm"),
    ("ffn.up", "transformer.h.{}.mlp.dense_h_to_4h"),
    ("ffn.down", "transformer.h.{}.mlp.dense_4h_to_h"),
    ("head.norm", "transformer.ln_f"),
    ("head.logits", "lm_head"),
];

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let (node, ending) = w.split();
    let a = &w.arch.attention;
    let Some(which) = ["attn.q", "attn.k", "attn.v"].iter().position(|n| *n == node) else {
        return w.find(TABLE).map(|part| vec![part]);
    };
    let part = w.named(&format!("transformer.h.{{}}.self_attention.query_key_value.{ending}"));
    // Query, key and value of a head behind one another.
    Some(vec![part.runs(3 * a.head_dim, a.heads, vec![(which as u64 * a.head_dim, a.head_dim)])])
}
