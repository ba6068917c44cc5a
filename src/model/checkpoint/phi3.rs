//! Phi-3: Llama's names, with query, key and value in one matrix, and gate and up in another.

use super::{Layout, Part, Wanted, rms};

pub(super) const LAYOUT: Layout =
    Layout { ignored: &["rotary_emb.inv_freq"], prefixes: &["model."], ..Layout::new(find) };

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let a = &w.arch.attention;
    let (q, kv, inner) = (a.q_width(), a.kv_width(), w.arch.ffn.inner);
    let qkv = |first, length| -> Option<Vec<Part>> {
        Some(vec![w.named("model.layers.{}.self_attn.qkv_proj.weight").slice(first, length)])
    };
    let gate_up = |first| -> Option<Vec<Part>> {
        Some(vec![w.named("model.layers.{}.mlp.gate_up_proj.weight").slice(first, inner)])
    };
    match w.name {
        "attn.q.weight" => qkv(0, q),
        "attn.k.weight" => qkv(q, kv),
        "attn.v.weight" => qkv(q + kv, kv),
        "ffn.gate.weight" => gate_up(0),
        "ffn.up.weight" => gate_up(inner),
        _ => rms::find(w),
    }
}
