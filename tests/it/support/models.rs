//! Published configurations, written out by hand.

use cosim::model::{
    Activation, Architecture, Attention, Block, Embedding, Ffn, Head, Norm, NormKind, Pairing,
    Position, QkNorm,
};

/// A Llama: RMS norm, rotary positions, SwiGLU, no biases, untied head.
fn llama(id: &str, vocabulary: u64, kv_heads: u64, inner: u64) -> Architecture {
    let (hidden, layers, heads, head_dim) = (4096, 32, 32, 128);
    let (kind, activation) = (NormKind::Rms, Activation::Silu);
    Architecture {
        id: id.into(),
        name: id.into(),
        source: "config.json".into(),
        vocabulary,
        hidden,
        layers,
        max_context: 8192,
        attention: Attention {
            heads,
            kv_heads,
            head_dim,
            qkv_bias: false,
            k_bias: true,
            out_bias: false,
            qk_norm: QkNorm::None,
            scale: 1.0 / (head_dim as f64).sqrt(),
            softcap: None,
            sinks: false,
            latent: None,
            windows: vec![None],
        },
        position: Position::Rope {
            theta: 1e4,
            rotary_dim: head_dim,
            pairing: Pairing::Half,
            scaling: None,
            local_theta: None,
        },
        ffn: Ffn { inner, activation, gated: true, bias: false },
        experts: None,
        norm: Norm { kind, epsilon: 1e-5, unit_offset: false, bias: false, pre: true, post: false },
        block: Block::Sequential,
        head: Head { tied: false, bias: false, scale: None, softcap: None },
        embedding: Embedding { scale: None, norm: false },
        encoder: None,
    }
}

/// meta-llama/Llama-2-7b-hf.
pub fn llama_2_7b() -> Architecture {
    llama("llama-2-7b", 32_000, 32, 11_008)
}

/// meta-llama/Meta-Llama-3-8B.
pub fn llama_3_8b() -> Architecture {
    llama("llama-3-8b", 128_256, 8, 14_336)
}

/// facebook/opt-13b: layer norm, learned positions, ReLU, biases, tied head.
pub fn opt_13b() -> Architecture {
    let llama = llama("opt-13b", 50_272, 40, 20_480);
    Architecture {
        hidden: 5120,
        layers: 40,
        max_context: 2048,
        attention: Attention { heads: 40, qkv_bias: true, out_bias: true, ..llama.attention },
        position: Position::Learned { positions: 2050, offset: 2 },
        ffn: Ffn { inner: 20_480, activation: Activation::Relu, gated: false, bias: true },
        norm: Norm { kind: NormKind::Layer, bias: true, ..llama.norm },
        head: Head { tied: true, ..llama.head },
        ..llama
    }
}
