//! Symbolic row counts, roles, and tensor types.

use super::mask::Mask;
use super::placement::Kept;
use super::step::Step;
use super::stripe::Stripe;
use std::fmt;

/// A row count that a [`Step`] resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A constant.
    Fixed(u64),
    /// New tokens of the step, over all sequences.
    Tokens,
    /// One of so many equal shares of them, the last padded.
    Share(u64),
    /// One row for each token and each expert that it is routed to: `k` behind one another per
    /// token.
    Routed(u64),
    /// The new tokens of so many ranks, as many of each, rank after rank.
    Gathered(u64),
    /// Rows that get logits: the last token of each sequence, or all tokens in a verify step.
    Logits,
    /// Tokens that were in the KV cache before the step.
    Past,
    /// Tokens in the KV cache after the step.
    Context,
    /// Tokens of a stripe that were in the KV cache before the step.
    PastPart(Stripe),
    /// Tokens of a stripe in the KV cache after the step.
    ContextPart(Stripe),
    /// Tokens in the KV caches of so many ranks after the step, as many in each.
    AllContext(u64),
    /// Positions that the encoder kept keys and values of, over all sequences.
    Source,
    /// Audio frames: this many for each new token.
    Frames(u64),
    /// (query, key) pairs that the mask lets through.
    Pairs(Mask),
}

impl Dim {
    /// The number of rows in this step; exact below 2^53.
    pub fn extent(self, step: &Step) -> f64 {
        match self {
            Self::Fixed(n) => n as f64,
            Self::Tokens => step.tokens(),
            Self::Share(parts) => (step.tokens() / parts as f64).ceil(),
            Self::Routed(n) | Self::Gathered(n) => n as f64 * step.tokens(),
            Self::Logits => step.logit_rows(),
            Self::Past => step.past(),
            Self::Context => step.context(),
            Self::PastPart(stripe) => step.past_part(stripe),
            Self::ContextPart(stripe) => step.context_part(stripe),
            Self::AllContext(ranks) => ranks as f64 * step.context(),
            Self::Source => step.source(),
            Self::Frames(per_token) => step.tokens() * per_token as f64,
            Self::Pairs(mask) => step.pairs(mask),
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Tokens => f.write_str("tokens"),
            Self::Share(parts) => write!(f, "tokens / {parts}"),
            Self::Routed(n) | Self::Gathered(n) => write!(f, "{n} tokens"),
            Self::Logits => f.write_str("logit rows"),
            Self::Past => f.write_str("past"),
            Self::Context => f.write_str("context"),
            Self::PastPart(stripe) => write!(f, "past / {}", stripe.of),
            Self::ContextPart(stripe) => write!(f, "context / {}", stripe.of),
            Self::AllContext(ranks) => write!(f, "{ranks} context"),
            Self::Source => f.write_str("source"),
            Self::Frames(n) => write!(f, "{n} x tokens"),
            Self::Pairs(_) => f.write_str("pairs"),
        }
    }
}

/// What a weight is for; a quantization scheme treats kinds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WeightKind {
    /// Token embedding table.
    Embedding,
    /// Learned position table.
    Position,
    /// Kernel of a convolution.
    Convolution,
    /// Matrix of an attention or feed-forward projection.
    Projection,
    /// Output head that is not tied to the embedding.
    Head,
    /// Matrix that scores the experts of a token.
    Router,
    /// Gain of a norm.
    Norm,
    /// Bias of a projection or norm, or score of an attention sink.
    Bias,
}

/// What a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A trained parameter.
    Weight(WeightKind),
    /// A value computed in the step.
    Activation,
    /// Keys or values that outlive the step.
    KvCache {
        /// Elements of a head: the row that shares a scale when the cache is quantized.
        head_dim: u64,
        /// Tokens kept per sequence: under a sliding window older ones are dropped (A9).
        window: Option<u64>,
    },
    /// Token ids, one per row.
    TokenIds,
}

/// Shape and role of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Number of rows.
    pub rows: Dim,
    /// Elements per row.
    pub width: u64,
    /// What it is.
    pub role: Role,
}

impl TensorType {
    /// An activation of `rows x width`.
    pub const fn activation(rows: Dim, width: u64) -> Self {
        Self { rows, width, role: Role::Activation }
    }

    /// A weight of `rows x width`.
    pub const fn weight(kind: WeightKind, rows: u64, width: u64) -> Self {
        Self { rows: Dim::Fixed(rows), width, role: Role::Weight(kind) }
    }

    /// Keys or values of `kv_heads` heads; under a sliding mask only the window is kept.
    pub const fn cache(rows: Dim, kv_heads: u64, head_dim: u64, mask: Mask) -> Self {
        let role = Role::KvCache { head_dim, window: mask.window() };
        Self { rows, width: kv_heads * head_dim, role }
    }

    /// Keys or values that attention under a mask reads: those of the step itself in an encoder,
    /// those that the encoder kept in cross-attention, those brought together for the queries of a stripe,
    /// else the cache after the step.
    pub const fn keys(kv_heads: u64, head_dim: u64, mask: Mask) -> Self {
        match mask {
            Mask::Full => Self::activation(Dim::Tokens, kv_heads * head_dim),
            Mask::Cross => Self::cache(Dim::Source, kv_heads, head_dim, mask),
            Mask::Causal | Mask::Sliding { .. } => {
                Self::cache(Dim::Context, kv_heads, head_dim, mask)
            }
            Mask::Striped { stripe, .. } => {
                Self::activation(Dim::AllContext(stripe.of), kv_heads * head_dim)
            }
            Mask::Part { stripe, .. } => {
                Self::cache(Dim::ContextPart(stripe), kv_heads, head_dim, mask)
            }
        }
    }

    /// Whether it outlives the step.
    pub const fn kept(&self) -> Kept {
        match (self.role, self.rows) {
            (Role::Weight(_), _) => Kept::Weight,
            (Role::KvCache { .. }, Dim::Source) => Kept::Cache(Mask::Cross),
            (Role::KvCache { window, .. }, Dim::PastPart(stripe) | Dim::ContextPart(stripe)) => {
                Kept::Cache(Mask::Part { stripe, window })
            }
            (Role::KvCache { window: Some(window), .. }, _) => {
                Kept::Cache(Mask::Sliding { window })
            }
            (Role::KvCache { window: None, .. }, _) => Kept::Cache(Mask::Causal),
            (Role::Activation | Role::TokenIds, _) => Kept::No,
        }
    }

    /// Number of elements in this step.
    pub fn elements(&self, step: &Step) -> f64 {
        self.rows.extent(step) * self.width as f64
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.rows, self.width)
    }
}
