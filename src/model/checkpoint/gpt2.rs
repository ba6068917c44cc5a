//! GPT-2: projections are stored with rows of inputs; query, key and value lie in one.

use super::{Form, Layout, Part, Wanted};

pub(super) const LAYOUT: Layout = Layout {
    // Causal masks of old files.
    ignored: &[".attn.bias", ".attn.masked_bias"],
    prefixes: &["transformer."],
    ..Layout::new(find)
};

const TABLE: &[(&str, &str)] = &[
    ("embed.tokens", "transformer.wte"),
    ("embed.positions", "transformer.wpe"),
    ("attn.norm", "transformer.h.{}.ln_1"),
    ("attn.out", "transformer.h.{}.attn.c_proj"),
    ("ffn.norm", "transformer.h.{}.ln_2"),
    ("ffn.up", "transformer.h.{}.mlp.c_fc"),
    ("ffn.down", "transformer.h.{}.mlp.c_proj"),
    ("head.norm", "transformer.ln_f"),
    ("head.logits", "lm_head"),
];

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let (node, ending) = w.split();
    let form = if ending == "weight" { Form::Transposed } else { Form::Plain };
    let width = w.arch.attention.q_width();
    let part = match node {
        "attn.q" | "attn.k" | "attn.v" => {
            let first = ["attn.q", "attn.k", "attn.v"].iter().position(|n| *n == node)? as u64;
            let part = w.named(&format!("transformer.h.{{}}.attn.c_attn.{ending}")).form(form);
            part.slice(first * width, width)
        }
        "attn.out" | "ffn.up" | "ffn.down" => w.find(TABLE)?.form(form),
        _ => w.find(TABLE)?,
    };
    Some(vec![part])
}
