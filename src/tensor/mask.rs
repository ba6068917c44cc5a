//! Attention masks.

use super::stripe::Stripe;

/// Which keys a query sees. Positions count from the start of the sequence, so a query is aligned
/// with the end of the context (bottom-right), as in FlashAttention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mask {
    /// All new tokens of the sequence, on both sides (encoders, which keep no keys).
    Full,
    /// All source positions of the sequence, kept by the encoder (cross-attention).
    Cross,
    /// Keys up to and including the query's own position.
    Causal,
    /// The last `window` keys up to and including the query's own position.
    Sliding {
        /// Number of visible keys at most, at least 1.
        window: u64,
    },
    /// Causal, or sliding, for the queries of a stripe over the keys of all positions: the tokens of the
    /// step, past and new, are those of the stripe.
    Striped {
        /// Positions of the queries.
        stripe: Stripe,
        /// Number of visible keys at most.
        window: Option<u64>,
    },
    /// Causal, or sliding, for all queries over the keys of a stripe.
    Part {
        /// Positions of the keys.
        stripe: Stripe,
        /// Number of visible keys at most, before they are dealt.
        window: Option<u64>,
    },
}

impl Mask {
    /// The sliding window, where there is one.
    pub const fn window(self) -> Option<u64> {
        match self {
            Self::Sliding { window } => Some(window),
            Self::Striped { window, .. } | Self::Part { window, .. } => window,
            Self::Full | Self::Cross | Self::Causal => None,
        }
    }
}
