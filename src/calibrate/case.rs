//! What a row of a table measures.

use crate::dtype::Format;
use crate::mapped::Kind;

/// Attention as tables give it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Sequences.
    pub batch: f64,
    /// Queries per sequence.
    pub queries: f64,
    /// Keys per sequence.
    pub keys: f64,
    /// Query heads.
    pub heads: f64,
    /// Heads of keys and values.
    pub kv_heads: f64,
    /// Elements of a head.
    pub head_dim: f64,
    /// Format of queries and results.
    pub format: Storage,
    /// Format of keys and values.
    pub kv: Storage,
    /// Whether a query sees the keys up to its own position only.
    pub causal: bool,
    /// How its scores are kept.
    pub method: Method,
}

/// How the scores of attention are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// On chip.
    Fused,
    /// In memory, masked by a kernel of its own or not.
    Unfused {
        /// Whether there is one.
        masked: bool,
    },
}

/// A layer of experts as tables give it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Experts {
    /// Tokens.
    pub tokens: f64,
    /// Width of the model.
    pub hidden: f64,
    /// Inner width of an expert.
    pub inner: f64,
    /// Experts that a token goes to.
    pub chosen: f64,
    /// Experts of all ranks.
    pub experts: f64,
    /// Ranks that cut an expert's inner width.
    pub tp: f64,
    /// Ranks that the experts are dealt to.
    pub ep: f64,
    /// Format of the weights.
    pub format: Storage,
    /// Whether all experts get as many tokens.
    pub balanced: bool,
}

/// How a number lies in memory, and what multiplies it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Storage {
    /// Its name in the table.
    pub name: &'static str,
    /// Bytes per element, scales included.
    pub bytes: f64,
    /// The format of the matrix engine.
    pub engine: Format,
    /// Bytes per element of activations beside weights of it.
    pub activation: f64,
}

const fn storage(name: &'static str, bytes: f64, engine: Format, activation: f64) -> Storage {
    Storage { name, bytes, engine, activation }
}

/// Names of formats in tables. Those that quantize activations multiply in the format itself; weight-only
/// ones in 16 bits. Block-scaled formats hold their scales: 128 values to an fp32 one, 16 to an 8-bit one,
/// 128 to a 16-bit scale and a 4-bit zero.
const STORAGES: &[Storage] = &[
    storage("bf16", 2.0, Format::Bf16, 2.0),
    storage("fp16", 2.0, Format::Fp16, 2.0),
    storage("fp32", 4.0, Format::Fp32, 4.0),
    storage("fp8", 1.0, Format::Fp8E4m3, 1.0),
    storage("fp8_block", 1.0 + 4.0 / 128.0 / 128.0, Format::Fp8E4m3, 1.0 + 4.0 / 128.0),
    storage("w8a8_int8", 1.0, Format::Int8, 1.0),
    storage("int8", 1.0, Format::Int8, 1.0),
    storage("nvfp4", 0.5 + 1.0 / 16.0, Format::Fp4E2m1, 0.5 + 1.0 / 16.0),
    storage("w8a16", 1.0, Format::Bf16, 2.0),
    storage("w4a8_mxfp4_mxfp8", 0.5 + 1.0 / 32.0, Format::Fp8E4m3, 1.0 + 1.0 / 32.0),
    storage("w4a16_mxfp4", 0.5 + 1.0 / 32.0, Format::Bf16, 2.0),
    storage("w4a16", 0.5 + 2.5 / 128.0, Format::Bf16, 2.0),
];

impl Storage {
    /// The storage of that name.
    pub fn named(name: &str) -> Option<Self> {
        STORAGES.iter().copied().find(|s| s.name == name)
    }

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        STORAGES.iter().map(|s| s.name)
    }

    /// Whether activations are quantized to it from 16 bits.
    pub fn quantizes(&self) -> bool {
        self.activation < 2.0
    }

    /// Its name where 16-bit floats count as one.
    pub fn group(&self) -> &'static str {
        if self.name == "fp16" { "bf16" } else { self.name }
    }
}

/// A kernel as a table gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Case {
    /// `C[m, n] = A[m, k] B[k, n]`.
    Gemm {
        /// Tokens.
        m: f64,
        /// Columns.
        n: f64,
        /// Length of the sum.
        k: f64,
        /// Format of the weights.
        format: Storage,
    },
    /// Many queries per sequence.
    Prefill(Attention),
    /// One query per sequence.
    Decode(Attention),
    /// Every element once.
    Elementwise {
        /// Which.
        op: String,
        /// Bytes read and written per element of the result.
        bytes: f64,
        /// Elements of the result.
        elements: f64,
    },
    /// A layer of experts.
    Experts(Experts),
    /// Another exchange over devices.
    Exchange {
        /// Devices.
        devices: f64,
        /// Bytes of the whole buffer.
        bytes: f64,
        /// Which.
        op: &'static str,
    },
    /// A sum over devices.
    AllReduce {
        /// Devices.
        devices: f64,
        /// Bytes of the buffer.
        bytes: f64,
        /// `nccl`, or a stack's own kernel: `custom`.
        algorithm: &'static str,
    },
}

/// Bytes per element of the result that elementwise operators move, in 16-bit elements read and written.
const ELEMENTWISE: &[(&str, f64)] = &[
    ("add", 6.0),
    ("gelu", 4.0),
    ("layernorm", 4.0),
    ("rmsnorm", 4.0),
    ("qk_rmsnorm", 4.0),
    ("add_rmsnorm", 8.0),
    ("rope", 4.0),
    ("silu_mul", 6.0),
    ("quant_bf16_to_fp8", 3.0),
];

impl Case {
    /// Bytes per element of the result of an operator.
    pub fn elementwise_bytes(op: &str, element: f64) -> Option<f64> {
        let found = ELEMENTWISE.iter().find(|(name, _)| *name == op)?;
        Some(found.1 * if op.starts_with("quant") { 1.0 } else { element / 2.0 })
    }

    /// Operators that [`Self::elementwise_bytes`] knows.
    pub fn elementwise_names() -> impl Iterator<Item = &'static str> {
        ELEMENTWISE.iter().map(|(name, _)| *name)
    }

    /// The kind of kernel that its time is made of.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Gemm { .. } => Kind::Matmul,
            Self::Prefill(Attention { method: Method::Unfused { .. }, .. }) => Kind::Unfused,
            Self::Prefill(_) => Kind::Prefill,
            Self::Decode(_) => Kind::Decode,
            Self::Elementwise { .. } => Kind::Stream,
            Self::AllReduce { .. } => Kind::AllReduce,
            Self::Exchange { .. } => Kind::Exchange,
            Self::Experts(_) => Kind::Grouped,
        }
    }

    /// The published table that such rows stand in.
    pub fn table(&self) -> &'static str {
        match self {
            Self::Gemm { .. } => "gemm",
            Self::Prefill(_) => "attention_prefill",
            Self::Decode(_) => "attention_decode",
            Self::Elementwise { .. } => "elementwise",
            Self::AllReduce { .. } | Self::Exchange { .. } => "collectives",
            Self::Experts(_) => "moe",
        }
    }

    /// What parameters it takes within its kind.
    pub fn format(&self) -> String {
        match self {
            Self::Gemm { format, .. } => format.group().to_owned(),
            Self::Prefill(a) | Self::Decode(a) if a.format.group() == a.kv.group() => {
                a.format.group().to_owned()
            }
            Self::Prefill(a) | Self::Decode(a) => {
                format!("{}+kv-{}", a.format.group(), a.kv.group())
            }
            Self::Elementwise { op, .. } => op.clone(),
            Self::AllReduce { algorithm, .. } => (*algorithm).to_owned(),
            Self::Exchange { op, .. } => (*op).to_owned(),
            Self::Experts(layer) => layer.format.group().to_owned(),
        }
    }

    /// What is measured, in words.
    pub fn words(&self) -> String {
        let attention = |a: &Attention| {
            let Attention { batch, queries, keys, heads, kv_heads, head_dim, .. } = a;
            format!("batch {batch}, q {queries}, kv {keys}, heads {heads}/{kv_heads} x {head_dim}")
        };
        match self {
            Self::Gemm { m, n, k, .. } => format!("m {m}, n {n}, k {k}"),
            Self::Prefill(a) | Self::Decode(a) => attention(a),
            Self::Elementwise { op, elements, .. } => format!("{op}, {elements} elements"),
            Self::AllReduce { devices, bytes, algorithm } => {
                format!("{devices} devices, {bytes} bytes, {algorithm}")
            }
            Self::Exchange { devices, bytes, op } => {
                format!("{devices} devices, {bytes} bytes, {op}")
            }
            Self::Experts(layer) => {
                let Experts { tokens, hidden, inner, chosen, experts, tp, ep, .. } = layer;
                format!(
                    "{tokens} tokens, {chosen} of {experts} x {hidden} x {inner}, tp {tp}, ep {ep}"
                )
            }
        }
    }

    /// Why a row is not judged by, where it is one of those that say nothing of a device: shapes that only
    /// the launch counts in, and decode by slow kernels that few models need.
    pub fn unjudged(&self) -> Option<&'static str> {
        match self {
            Self::Gemm { n, k, .. } if *n < 512.0 || *k < 512.0 => Some("n or k below 512"),
            Self::Prefill(a) if a.queries < 16.0 => Some("fewer than 16 queries"),
            Self::Decode(a) if a.heads / a.kv_heads > 32.0 => {
                Some("more than 32 heads to a KV head")
            }
            Self::Experts(layer) if !layer.balanced => {
                Some("experts whose loads differ, which the row does not tell")
            }
            _ => None,
        }
    }
}
