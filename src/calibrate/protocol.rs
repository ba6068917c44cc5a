//! How a table's rows were timed: what lies in the cache, and what a row's time holds beside its kernel (A147).

/// A way of timing kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// What the `source` column begins with.
    pub source: &'static str,
    /// Copies of the weights that are gone through in turn, as long as they are fewer than would fill
    /// the cache; `None` where weights come from DRAM each time, as in a running model.
    pub copies: Option<u32>,
    /// Whether the same activations, keys and values are used again by the next repetition.
    pub warm: bool,
    /// Whether rows of quantized activations hold their quantization.
    pub quantizes: bool,
    /// The software stack of rows that name none.
    pub stack: Option<&'static str>,
    /// Whether attention rows hold the rotation of queries and keys, and the write to the cache.
    pub rotates: bool,
}

/// Profiles of whole layers in turn, and cosim's own `tools/measure.py`: cold weights.
const COLD: Protocol = Protocol {
    source: "",
    copies: None,
    warm: true,
    quantizes: false,
    rotates: false,
    stack: None,
};

/// Known protocols; the last is for every other source.
const PROTOCOLS: &[Protocol] = &[
    // aiconfigurator's collectors replay CUDA graphs over min(5, ceil(L2 / W)) copies of the weights;
    // attention layers include RoPE and the KV write.
    Protocol {
        source: "aiconfigurator",
        copies: Some(5),
        quantizes: true,
        rotates: true,
        stack: Some("trtllm"),
        ..COLD
    },
    Protocol { source: "llmservingsim", stack: Some("vllm"), ..COLD },
    Protocol { source: "vidur", stack: Some("sarathi"), ..COLD },
    COLD,
];

impl Protocol {
    /// The protocol of a source.
    pub fn of(source: &str) -> Self {
        let found = PROTOCOLS.iter().find(|p| source.starts_with(p.source));
        *found.unwrap_or(&PROTOCOLS[PROTOCOLS.len() - 1])
    }

    /// Bytes in use between two uses of weights of so many bytes, beside which `other` bytes are used.
    pub fn weights_set(&self, weights: f64, other: f64, cache: f64) -> f64 {
        match self.copies {
            Some(most) => weights * (cache / weights).ceil().clamp(1.0, f64::from(most)) + other,
            None => f64::INFINITY,
        }
    }
}
