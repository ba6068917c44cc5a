//! T5: a decoder's layer has self-attention, cross-attention and network; an encoder's lacks the second.

use super::{Layout, Part, Wanted};

pub(super) const LAYOUT: Layout = Layout {
    // The shared embedding again, under the names of both stacks.
    ignored: &["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"],
    ..Layout::new(find)
};

const TABLE: &[(&str, &str)] = &[
    ("embed.tokens", "shared"),
    ("attn.scores", "decoder.block.0.layer.0.SelfAttention.relative_attention_bias"),
    ("attn.norm", "decoder.block.{}.layer.0.layer_norm"),
    ("attn.q", "decoder.block.{}.layer.0.SelfAttention.q"),
    ("attn.k", "decoder.block.{}.layer.0.SelfAttention.k"),
    ("attn.v", "decoder.block.{}.layer.0.SelfAttention.v"),
    ("attn.out", "decoder.block.{}.layer.0.SelfAttention.o"),
    ("cross.norm", "decoder.block.{}.layer.1.layer_norm"),
    ("cross.q", "decoder.block.{}.layer.1.EncDecAttention.q"),
    ("cross.k", "decoder.block.{}.layer.1.EncDecAttention.k"),
    ("cross.v", "decoder.block.{}.layer.1.EncDecAttention.v"),
    ("cross.out", "decoder.block.{}.layer.1.EncDecAttention.o"),
    ("ffn.norm", "decoder.block.{}.layer.2.layer_norm"),
    ("head.norm", "decoder.final_layer_norm"),
    ("head.logits", "lm_head"),
    ("encoder.attn.scores", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias"),
    ("encoder.attn.norm", "encoder.block.{}.layer.0.layer_norm"),
    ("encoder.attn.q", "encoder.block.{}.layer.0.SelfAttention.q"),
    ("encoder.attn.k", "encoder.block.{}.layer.0.SelfAttention.k"),
    ("encoder.attn.v", "encoder.block.{}.layer.0.SelfAttention.v"),
    ("encoder.attn.out", "encoder.block.{}.layer.0.SelfAttention.o"),
    ("encoder.ffn.norm", "encoder.block.{}.layer.1.layer_norm"),
    ("encoder.norm", "encoder.final_layer_norm"),
];

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let network = match w.split().0 {
        name @ ("ffn.gate" | "ffn.up" | "ffn.down") => Some(("decoder", 2, name)),
        "encoder.ffn.gate" => Some(("encoder", 1, "ffn.gate")),
        "encoder.ffn.up" => Some(("encoder", 1, "ffn.up")),
        "encoder.ffn.down" => Some(("encoder", 1, "ffn.down")),
        _ => None,
    };
    let Some((stack, sublayer, name)) = network else {
        return w.find(TABLE).map(|part| vec![part]);
    };
    let stored = match (name, w.arch.ffn.gated) {
        ("ffn.gate", _) => "wi_0",
        ("ffn.up", true) => "wi_1",
        ("ffn.up", false) => "wi",
        _ => "wo",
    };
    let layer = w.layer;
    let of = format!("{stack}.block.{layer}.layer.{sublayer}.DenseReluDense.{stored}.weight");
    Some(vec![Part::new(of)])
}
