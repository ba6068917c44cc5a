//! What is added to attention scores by the distance of query and key.

use super::scalar::Scalar;
use super::split::Rank;
use crate::codec::{Float, Overflow};

/// A bias on the scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScoreBias {
    /// `-slope_h (i - j)` for query `i` and key `j` (ALiBi: Press et al., arXiv 2108.12409).
    Alibi,
    /// The same for a rank's share of the heads.
    AlibiShare {
        /// Number of the first of them.
        first: u64,
        /// Heads of all ranks.
        of: u64,
    },
    /// `b_h(j)` by the key's position `j` alone, in bf16 and scaled as the scores are (Falcon, A120), for
    /// a rank's share of the heads.
    AlibiBf16 {
        /// Number of the first of them.
        first: u64,
        /// Heads of all ranks.
        of: u64,
    },
    /// A learned bias per head and bucket of relative positions (T5, arXiv 1910.10683).
    Relative(Buckets),
    /// `scale q_i . r[i - j]` with the key `r` of the distance, a head's own, from a cache beside the
    /// keys (Transformer-XL, arXiv 1901.02860).
    PositionKeys,
}

impl ScoreBias {
    /// The bias of a rank's piece of `heads` heads cut in `parts`; of a learned one the table is cut.
    pub const fn share(self, heads: u64, rank: Rank, parts: u64) -> Self {
        let (first, of) = match self {
            Self::Relative(_) | Self::PositionKeys => return self,
            Self::Alibi => (0, heads),
            Self::AlibiShare { first, of } | Self::AlibiBf16 { first, of } => (first, of),
        };
        let first = first + rank.index * parts / rank.of * (heads / parts);
        match self {
            Self::AlibiBf16 { .. } => Self::AlibiBf16 { first, of },
            _ => Self::AlibiShare { first, of },
        }
    }
}

/// Buckets of relative positions: half of them hold one distance each, the others grow
/// logarithmically up to `max_distance`, beyond which all share the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Buckets {
    /// Buckets, at least 2; at least 4 and even where bidirectional.
    pub count: u64,
    /// Distance from which on all keys share a bucket; above the number of exact distances.
    pub max_distance: u64,
    /// Keys behind the query have the second half of the buckets (encoders); else they share
    /// bucket 0.
    pub bidirectional: bool,
}

impl Buckets {
    /// Bucket of a key `relative` positions behind the query in the text (negative: before it).
    pub fn of(self, relative: i64) -> u64 {
        let one_side = if self.bidirectional { self.count / 2 } else { self.count };
        let (first, distance) = match (self.bidirectional, relative > 0) {
            (true, true) => (one_side, relative.unsigned_abs()),
            (false, true) => (0, 0),
            (_, false) => (0, relative.unsigned_abs()),
        };
        let exact = one_side / 2;
        if distance < exact {
            return first + distance;
        }
        let ratio = |n: u64| (n as f64 / exact as f64).ln();
        let steps = ratio(distance) / ratio(self.max_distance) * (one_side - exact) as f64;
        // Distances that lie on an edge belong above it, as in exact arithmetic.
        first + (exact + (steps + 1e-9).floor() as u64).min(one_side - 1)
    }
}

/// The slope of head `head` of `heads`, from 0: `2^(-8 (head + 1) / heads)` for a power of two.
/// Otherwise the slopes of the next lower power of two, then every other one of the next higher,
/// as the paper's code has it.
pub fn alibi_slope(head: u64, heads: u64) -> f64 {
    let below = 1u64 << heads.ilog2();
    let slope = |i: u64, n: u64| (-8.0 * (i + 1) as f64 / n as f64).exp2();
    if head < below { slope(head, below) } else { slope(2 * (head - below), 2 * below) }
}

/// `b_h(j)` of [`ScoreBias::AlibiBf16`]: slope, position and their product each rounded to bf16 (A120).
/// The product is one operation.
pub fn alibi_bf16<S: Scalar>(head: u64, heads: u64, position: f64) -> S {
    let round = |x: f64| Float::BF16.round(x, Overflow::Special);
    let product = S::constant(round(alibi_slope(head, heads))) * S::constant(round(position));
    S::constant(round(product.value()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_the_papers() {
        let eight: Vec<f64> = (0..8).map(|h| alibi_slope(h, 8)).collect();
        assert_eq!(eight, [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
        // 12 heads: the 8 of a power of two, then the 1st, 3rd, 5th and 7th of 16.
        assert_eq!(alibi_slope(7, 12), 0.00390625);
        assert_eq!(alibi_slope(8, 12), 0.5f64.sqrt());
        assert_eq!(alibi_slope(11, 12), (-3.5f64).exp2());
    }

    /// `slopes[..., None].bfloat16() * positions` by torch 2.15.0.
    #[test]
    fn biases_in_bf16_are_torchs() {
        for (head, heads, position, bias) in [
            (0, 6, 3.0, 0.75),
            (1, 6, 257.0, 16.0),
            (4, 6, 1001.0, 500.0),
            (5, 6, 2999.0, 374.0),
            (2, 12, 777.0, 97.0),
            (10, 12, 300.0, 53.0),
            (63, 64, 2049.0, 8.0),
            (31, 32, 999.0, 3.90625),
        ] {
            assert_eq!(alibi_bf16::<f64>(head, heads, position), bias, "{head} of {heads}");
            assert_eq!(f64::from(alibi_bf16::<f32>(head, heads, position)), bias);
        }
    }
}
