//! Whisper.

use super::{Form, Layout, Part, Wanted};

pub(super) const LAYOUT: Layout = Layout {
    // The head is the embedding, which some files hold twice.
    ignored: &["proj_out.weight"],
    prefixes: &["model."],
    ..Layout::new(find)
};

const TABLE: &[(&str, &str)] = &[
    ("embed.tokens", "model.decoder.embed_tokens"),
    ("embed.positions", "model.decoder.embed_positions"),
    ("attn.norm", "model.decoder.layers.{}.self_attn_layer_norm"),
    ("attn.q", "model.decoder.layers.{}.self_attn.q_proj"),
    ("attn.k", "model.decoder.layers.{}.self_attn.k_proj"),
    ("attn.v", "model.decoder.layers.{}.self_attn.v_proj"),
    ("attn.out", "model.decoder.layers.{}.self_attn.out_proj"),
    ("cross.norm", "model.decoder.layers.{}.encoder_attn_layer_norm"),
    ("cross.q", "model.decoder.layers.{}.encoder_attn.q_proj"),
    ("cross.k", "model.decoder.layers.{}.encoder_attn.k_proj"),
    ("cross.v", "model.decoder.layers.{}.encoder_attn.v_proj"),
    ("cross.out", "model.decoder.layers.{}.encoder_attn.out_proj"),
    ("ffn.norm", "model.decoder.layers.{}.final_layer_norm"),
    ("ffn.up", "model.decoder.layers.{}.fc1"),
    ("ffn.down", "model.decoder.layers.{}.fc2"),
    ("head.norm", "model.decoder.layer_norm"),
    ("encoder.embed.positions", "model.encoder.embed_positions"),
    ("encoder.conv1", "model.encoder.conv1"),
    ("encoder.conv2", "model.encoder.conv2"),
    ("encoder.attn.norm", "model.encoder.layers.{}.self_attn_layer_norm"),
    ("encoder.attn.q", "model.encoder.layers.{}.self_attn.q_proj"),
    ("encoder.attn.k", "model.encoder.layers.{}.self_attn.k_proj"),
    ("encoder.attn.v", "model.encoder.layers.{}.self_attn.v_proj"),
    ("encoder.attn.out", "model.encoder.layers.{}.self_attn.out_proj"),
    ("encoder.ffn.norm", "model.encoder.layers.{}.final_layer_norm"),
    ("encoder.ffn.up", "model.encoder.layers.{}.fc1"),
    ("encoder.ffn.down", "model.encoder.layers.{}.fc2"),
    ("encoder.norm", "model.encoder.layer_norm"),
];

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let part = w.find(TABLE)?;
    let is_kernel = matches!(w.name, "encoder.conv1.weight" | "encoder.conv2.weight");
    Some(vec![if is_kernel { part.form(Form::Taps) } else { part }])
}
