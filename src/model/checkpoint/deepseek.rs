//! DeepSeek-V2 and V3: a head's own elements come before its rotated ones, keys and values of a head
//! behind one another.

use super::{Layout, Part, Wanted, rms};

pub(super) const LAYOUT: Layout =
    Layout { ignored: &["rotary_emb.inv_freq"], prefixes: &["model."], ..Layout::new(find) };

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let a = &w.arch.attention;
    let latent = a.latent?;
    let turned = w.arch.position.rotary_dim();
    let own = a.head_dim - turned;
    // The graph has the rotated elements of a head first.
    let heads = |part: Part| part.runs(a.head_dim, a.heads, vec![(own, turned), (0, own)]);
    let up = |first, length| {
        let part = w.named("model.layers.{}.self_attn.kv_b_proj.weight");
        part.runs(own + latent.value, a.heads, vec![(first, length)])
    };
    let down = || w.named("model.layers.{}.self_attn.kv_a_proj_with_mqa.weight");
    let part = match w.name {
        "attn.q.weight" => heads(w.named("model.layers.{}.self_attn.q_proj.weight")),
        "attn.q_down.weight" => w.named("model.layers.{}.self_attn.q_a_proj.weight"),
        "attn.q_norm.weight" => w.named("model.layers.{}.self_attn.q_a_layernorm.weight"),
        "attn.q_up.weight" => heads(w.named("model.layers.{}.self_attn.q_b_proj.weight")),
        "attn.kv_down.weight" => down().slice(0, latent.key_value),
        "attn.k_rotated.weight" => down().slice(latent.key_value, turned),
        "attn.kv_norm.weight" => w.named("model.layers.{}.self_attn.kv_a_layernorm.weight"),
        "attn.k_up.weight" => up(0, own),
        "attn.v_up.weight" => up(own, latent.value),
        _ => return rms::find(w),
    };
    Some(vec![part])
}
