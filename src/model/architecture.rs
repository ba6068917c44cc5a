//! A decoder as data, alone or behind an encoder: the sizes and choices that fix its mathematics.
//!
//! Everything downstream (graph, parameter counts, cost) follows from this type and the step that
//! is run; it knows no number format, no batch and no machine.

pub use crate::op::{Activation, Groups, NormKind, Pairing, RopeScaling, Scoring};

/// A transformer with a decoder, and an encoder in front of it where it has one; checked.
///
/// [`Architecture::from_yaml`], [`super::import::config_json`] and [`super::load`] refuse sizes that
/// do not fit; what they return has at most 2^60 parameters, so products of two sizes that make a
/// weight fit 64 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Name in files and on the command line: lower case, digits, dashes, dots.
    pub id: String,
    /// Name as its makers write it.
    pub name: String,
    /// Citation of the configuration.
    pub source: String,
    /// Rows of the token embedding, padding rows included.
    pub vocabulary: u64,
    /// Width of the residual stream, in elements.
    pub hidden: u64,
    /// Number of decoder layers.
    pub layers: u64,
    /// Longest sequence the configuration declares, in tokens.
    pub max_context: u64,
    /// Self-attention of every layer.
    pub attention: Attention,
    /// How positions enter.
    pub position: Position,
    /// Feed-forward network of every layer; where there are experts, of the dense layers, and form
    /// of the experts.
    pub ffn: Ffn,
    /// Experts in place of the feed-forward network; `None` in a dense model.
    pub experts: Option<Experts>,
    /// Normalization, wherever one stands.
    pub norm: Norm,
    /// How attention and feed-forward network are joined in a layer.
    pub block: Block,
    /// From the last hidden state to logits.
    pub head: Head,
    /// From tokens to the first hidden state.
    pub embedding: Embedding,
    /// What the decoder attends to beside its own tokens; `None` in a decoder-only model.
    pub encoder: Option<Encoder>,
}

/// An encoder: layers like the decoder's whose attention sees every position, multi-head with the
/// decoder's query heads. Its result becomes keys and values of each decoder layer once; between
/// self-attention and feed-forward network the decoder attends to them (Vaswani et al., arXiv
/// 1706.03762).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoder {
    /// Number of encoder layers.
    pub layers: u64,
    /// Longest input that the configuration declares, in positions.
    pub max_source: u64,
    /// Tokens that the decoder begins with (T5: 1, Whisper: 4).
    pub start_tokens: u64,
    /// What it reads.
    pub input: EncoderInput,
}

/// What an encoder reads, one position for each row of its first hidden state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncoderInput {
    /// Token ids, through the decoder's embedding (T5).
    Tokens,
    /// Mel frames, two for each position, through two convolutions of 3 taps with GELU, the second
    /// of stride 2, and a table of positions added (Whisper, arXiv 2212.04356).
    Audio {
        /// Channels of a frame.
        mel_bins: u64,
    },
}

/// Self-attention: `softmax(cap(scale * q k^T) + mask) v`, projected in and out.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: u64,
    /// Key and value heads; divides `heads`. Equal to it: multi-head; 1: multi-query.
    pub kv_heads: u64,
    /// Elements per head, of queries, keys and values alike.
    pub head_dim: u64,
    /// Query, key and value projections add a bias.
    pub qkv_bias: bool,
    /// The key projection adds one too where the others do (Whisper: no).
    pub k_bias: bool,
    /// The output projection adds a bias.
    pub out_bias: bool,
    /// Norm of queries and keys before rotation, of the model's kind.
    pub qk_norm: QkNorm,
    /// What `q k^T` is multiplied with: `1 / sqrt(head_dim)` unless the model says otherwise.
    pub scale: f64,
    /// `c` of `c tanh(x / c)` on the scaled scores (Gemma 2: 50).
    pub softcap: Option<f64>,
    /// A learned score per head joins the softmax and has no value (gpt-oss).
    pub sinks: bool,
    /// The cache keeps latents that all heads share; `head_dim` counts a head's rotated and own
    /// elements (DeepSeek-V2).
    pub latent: Option<Latent>,
    /// Pattern over layers, repeated from layer 0. `Some(w)`: a query sees the last `w` keys, its
    /// own included; `None`: all of them. Never empty.
    pub windows: Vec<Option<u64>>,
}

/// Norm of queries and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QkNorm {
    /// None.
    #[default]
    None,
    /// Over each head, all heads with one gain (Qwen3).
    Head,
    /// Over each head, every head with a gain of its own (Cohere).
    OwnHead,
    /// Over all heads of a token together (OLMo-2, arXiv 2501.00656).
    Row,
}

impl QkNorm {
    /// Norms of a token's `heads` heads of `head_dim`, and elements of each.
    pub const fn groups(self, heads: u64, head_dim: u64) -> (u64, u64) {
        match self {
            Self::Row => (1, heads * head_dim),
            Self::None | Self::Head | Self::OwnHead => (heads, head_dim),
        }
    }

    /// Elements of the gain for so many heads.
    pub const fn gains(self, heads: u64, head_dim: u64) -> u64 {
        match self {
            Self::None => 0,
            Self::Head => head_dim,
            Self::OwnHead | Self::Row => heads * head_dim,
        }
    }
}

/// Multi-head latent attention (arXiv 2405.04434).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latent {
    /// Width of the queries' latent; `None`: queries are projected at once.
    pub query: Option<u64>,
    /// Width of the latent of keys and values, which the cache keeps.
    pub key_value: u64,
    /// Elements of a head's value.
    pub value: u64,
    /// How it is computed.
    pub form: LatentForm,
}

/// How latent attention is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum LatentForm {
    /// Expanded in prefill, absorbed in decoding (A47).
    #[default]
    Auto,
    /// Keys and values of all heads are made from the latents of the context.
    Expanded,
    /// Queries and results are turned into the latents' space.
    Absorbed,
}

impl LatentForm {
    /// Lower-case name, as in YAML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Expanded => "expanded",
            Self::Absorbed => "absorbed",
        }
    }
}

/// How positions enter the model.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// Rotary embedding of queries and keys (arXiv 2104.09864).
    Rope {
        /// Base of the geometric series of angles.
        theta: f64,
        /// Leading elements of each head that are rotated; even.
        rotary_dim: u64,
        /// Which elements form a rotated pair.
        pairing: Pairing,
        /// Change of the angles for longer contexts.
        scaling: Option<RopeScaling>,
        /// Base in layers with a window, whose angles are not scaled (Gemma 3).
        local_theta: Option<f64>,
    },
    /// A learned vector per position, added to the token embedding.
    Learned {
        /// Rows of the table, offset rows included (OPT: 2050).
        positions: u64,
        /// Row of position 0 (OPT: 2).
        offset: u64,
    },
    /// Scores fall with the distance of query and key (arXiv 2108.12409).
    Alibi,
    /// The same by the key's position, in bf16 and scaled as the scores are (Falcon-RW; A120).
    AlibiBf16,
    /// Queries also meet a projected encoding of the distance (arXiv 1901.02860; A51).
    TransformerXl,
    /// A learned bias per query head and bucket of distances, one table for all layers of a stack
    /// (T5, arXiv 1910.10683).
    Relative {
        /// Buckets.
        buckets: u64,
        /// Distance from which on all keys share the last one.
        max_distance: u64,
    },
}

/// Feed-forward network: `down(act(up x))`, or gated `down(act(gate x) * up x)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ffn {
    /// Width between the projections, in elements.
    pub inner: u64,
    /// The non-linearity.
    pub activation: Activation,
    /// A second projection into `inner` gates the first.
    pub gated: bool,
    /// Every projection adds a bias.
    pub bias: bool,
}

/// Mixture of experts: each token passes `active` of `count` feed-forward networks, chosen by a
/// router (Shazeer et al., arXiv 1701.06538). Activation, gate and biases are those of [`Ffn`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Experts {
    /// Experts to choose from (E).
    pub count: u64,
    /// Experts per token (k).
    pub active: u64,
    /// Width between the projections of one expert, in elements.
    pub inner: u64,
    /// Width of a network that every token passes beside its experts (DeepSeek: shared experts times
    /// their width).
    pub shared: Option<u64>,
    /// From the router's logits to scores.
    pub scoring: Scoring,
    /// The weights of a token's experts are divided by their sum.
    pub normalise: bool,
    /// Groups of experts to choose first (DeepSeek).
    pub groups: Option<Groups>,
    /// Factor of the weights (DeepSeek-V3: 2.5).
    pub scaling: f64,
    /// A bias per expert that only the choice sees (DeepSeek-V3).
    pub correction: bool,
    /// The router adds a bias to its logits (gpt-oss).
    pub router_bias: bool,
    /// Bound on both inputs of the gate, 1 added to the second (gpt-oss: 7).
    pub limit: Option<f64>,
    /// Leading layers with the dense feed-forward network (DeepSeek-V3: 3).
    pub dense_layers: u64,
}

impl Experts {
    /// Experts of width `inner` in every layer, scored by a softmax, with normalised weights (Mixtral,
    /// arXiv 2401.04088).
    pub const fn softmax(count: u64, active: u64, inner: u64) -> Self {
        Self {
            count,
            active,
            inner,
            shared: None,
            scoring: Scoring::Softmax,
            normalise: true,
            groups: None,
            scaling: 1.0,
            correction: false,
            router_bias: false,
            limit: None,
            dense_layers: 0,
        }
    }
}

/// Normalization over `hidden`; one always stands before the head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// Which statistic.
    pub kind: NormKind,
    /// Added to the variance or mean square.
    pub epsilon: f64,
    /// The weight multiplies as `1 + w` (Gemma).
    pub unit_offset: bool,
    /// A bias is added; layer norm only.
    pub bias: bool,
    /// Before attention and before the feed-forward network; OLMo-2 has none there.
    pub pre: bool,
    /// Behind attention and behind the feed-forward network, before the residual (Gemma 2).
    pub post: bool,
}

/// How a layer joins attention and feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// `x += attention(norm x)`, then `x += ffn(norm x)`.
    Sequential,
    /// `x += attention(norm x) + ffn(norm x)`.
    Parallel {
        /// 1: both read one norm (GPT-J, Falcon 7B); 2: one norm each (Falcon 40B).
        norms: u64,
    },
}

/// From the last hidden state to logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Head {
    /// The weight is the token embedding.
    pub tied: bool,
    /// A bias per vocabulary entry (GPT-J).
    pub bias: bool,
    /// What the normed hidden state is multiplied with (T5 with a tied head: `1 / sqrt(hidden)`).
    pub scale: Option<f64>,
    /// `c` of `c tanh(x / c)` on the logits (Gemma 2: 30).
    pub softcap: Option<f64>,
}

/// From tokens to the first hidden state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Embedding {
    /// What the embedding is multiplied with (Gemma: `sqrt(hidden)`).
    pub scale: Option<f64>,
    /// A norm stands behind it (BLOOM).
    pub norm: bool,
}

impl Norm {
    /// Layer norms with a bias before the sub-layers (GPT, OPT, Falcon, Whisper).
    pub const fn layer(epsilon: f64) -> Self {
        let kind = NormKind::Layer;
        Self { kind, epsilon, unit_offset: false, bias: true, pre: true, post: false }
    }
}

impl Position {
    /// Elements of a head that are rotated.
    pub const fn rotary_dim(&self) -> u64 {
        match self {
            Self::Rope { rotary_dim, .. } => *rotary_dim,
            Self::Learned { .. }
            | Self::Alibi
            | Self::AlibiBf16
            | Self::TransformerXl
            | Self::Relative { .. } => 0,
        }
    }

    /// Tokens of a sequence beyond which all its keys are rotated otherwise (LongRoPE, A121).
    pub const fn turning(&self) -> Option<u64> {
        match self {
            Self::Rope {
                scaling: Some(RopeScaling::LongRope { original_context, .. }), ..
            } => Some(*original_context),
            _ => None,
        }
    }

    /// Rows of the bias table of a stack; 0 without one.
    pub const fn buckets(&self) -> u64 {
        match self {
            Self::Relative { buckets, .. } => *buckets,
            Self::Rope { .. }
            | Self::Learned { .. }
            | Self::Alibi
            | Self::AlibiBf16
            | Self::TransformerXl => 0,
        }
    }
}

impl Attention {
    /// Full attention of so many query and key heads: scores over `sqrt(head_dim)`, all projections with a
    /// bias or none.
    pub fn plain((heads, kv_heads): (u64, u64), head_dim: u64, bias: bool) -> Self {
        Self {
            heads,
            kv_heads,
            head_dim,
            qkv_bias: bias,
            k_bias: true,
            out_bias: bias,
            qk_norm: QkNorm::None,
            scale: 1.0 / (head_dim as f64).sqrt(),
            softcap: None,
            sinks: false,
            latent: None,
            windows: vec![None],
        }
    }

    /// Elements of all query heads of one token.
    pub fn q_width(&self) -> u64 {
        self.heads * self.head_dim
    }

    /// Elements of all key heads of one token; the values are as many.
    pub fn kv_width(&self) -> u64 {
        self.kv_heads * self.head_dim
    }

    /// Window of layer `layer`, counted from 0; `None` where it sees everything.
    pub fn window(&self, layer: u64) -> Option<u64> {
        let period = self.windows.len().max(1) as u64;
        self.windows.get((layer % period) as usize).copied().flatten()
    }
}

impl Architecture {
    /// The model itself, where its sizes fit together.
    ///
    /// # Errors
    /// What does not fit.
    pub fn checked(self) -> Result<Self, String> {
        match super::check::check(&self) {
            Ok(()) => Ok(self),
            Err(refusal) => Err(refusal.message),
        }
    }

    /// The experts of layer `layer`, counted from 0; `None` where it is dense.
    pub fn experts_of(&self, layer: u64) -> Option<Experts> {
        self.experts.filter(|experts| layer >= experts.dense_layers)
    }
}
