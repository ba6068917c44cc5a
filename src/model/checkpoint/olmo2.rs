//! OLMo-2: Llama's names; norms stand behind the sub-layers alone.

use super::{Layout, Part, Wanted, rms};

pub(super) const LAYOUT: Layout = Layout { prefixes: &["model."], ..Layout::new(find) };

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    match w.name {
        "attn.post_norm.weight" => {
            Some(vec![w.named("model.layers.{}.post_attention_layernorm.weight")])
        }
        "ffn.post_norm.weight" => {
            Some(vec![w.named("model.layers.{}.post_feedforward_layernorm.weight")])
        }
        _ => rms::find(w),
    }
}
