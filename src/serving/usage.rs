//! What KV memory is spent on.

use crate::units::Bytes;
use serde::Serialize;
use std::ops::Add;

/// Token slots by what they are spent on (Kwon et al., arXiv 2309.06180, figure 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Usage {
    /// Hold the keys and values of a token.
    pub used: u64,
    /// Empty, and the request that holds them will fill them.
    pub reserved: u64,
    /// Given to a request that never fills them.
    pub internal: u64,
    /// Given to no request: free, or lost to the rounding of the placement.
    pub external: u64,
}

impl Usage {
    /// Names of the parts, in order.
    pub const PARTS: [&'static str; 4] =
        ["token states", "reservation", "internal fragmentation", "external fragmentation"];

    /// The parts, in order.
    pub const fn parts(&self) -> [u64; 4] {
        [self.used, self.reserved, self.internal, self.external]
    }

    /// All slots.
    pub const fn total(&self) -> u64 {
        self.used + self.reserved + self.internal + self.external
    }

    /// The parts in bytes, for a token of `per_token`.
    pub fn bytes(&self, per_token: Bytes) -> [Bytes; 4] {
        self.parts().map(|slots| per_token * slots as f64)
    }
}

impl Add for Usage {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            used: self.used + other.used,
            reserved: self.reserved + other.reserved,
            internal: self.internal + other.internal,
            external: self.external + other.external,
        }
    }
}
