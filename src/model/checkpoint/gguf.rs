//! GGUF files of the llama and Gemma-3 architectures (ggml-org/llama.cpp, `gguf-py/gguf/constants.py`).

use super::{Layout, Part, Wanted};

/// The table of frequencies is read with the file's metadata.
pub(super) const LAYOUT: Layout = Layout { ignored: &["rope_freqs.weight"], ..Layout::new(find) };

const TABLE: &[(&str, &str)] = &[
    ("embed.tokens", "token_embd"),
    ("attn.norm", "blk.{}.attn_norm"),
    ("attn.q", "blk.{}.attn_q"),
    ("attn.k", "blk.{}.attn_k"),
    ("attn.v", "blk.{}.attn_v"),
    ("attn.out", "blk.{}.attn_output"),
    ("attn.q_norm", "blk.{}.attn_q_norm"),
    ("attn.k_norm", "blk.{}.attn_k_norm"),
    ("attn.post_norm", "blk.{}.post_attention_norm"),
    ("ffn.norm", "blk.{}.ffn_norm"),
    ("ffn.gate", "blk.{}.ffn_gate"),
    ("ffn.up", "blk.{}.ffn_up"),
    ("ffn.down", "blk.{}.ffn_down"),
    ("ffn.post_norm", "blk.{}.post_ffw_norm"),
    ("experts.router", "blk.{}.ffn_gate_inp"),
    ("experts.gate", "blk.{}.ffn_gate_exps"),
    ("experts.up", "blk.{}.ffn_up_exps"),
    ("experts.down", "blk.{}.ffn_down_exps"),
    ("head.norm", "output_norm"),
    ("head.logits", "output"),
];

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    w.find(TABLE).map(|part| vec![part])
}
