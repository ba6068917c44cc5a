//! The rows of visible (query, key) pairs, which operators between the thirds of attention go through.

use super::Pattern;
use crate::tensor::{Mask, Sequence, Step};
use std::ops::Range;

/// Of each query in turn the row of its token, and the rows of its pairs.
pub(super) fn by_query(step: &Step, mask: Mask) -> impl Iterator<Item = (usize, Range<usize>)> {
    let queries =
        move |s: Sequence| (0..s.new).map(move |i| (s.first_token + i, s.visible(i, mask)));
    step.sequences().flat_map(queries).scan(0, |first, (token, keys)| {
        let rows = *first..*first + keys.len();
        *first = rows.end;
        Some((token, rows))
    })
}

/// What moves where every head of a query goes through its own pairs.
pub(super) fn pattern(step: &Step, mask: Mask, heads: u64) -> Pattern {
    let (heads, pairs) = (heads as f64, step.pairs(mask));
    Pattern::Attention { heads, kv_heads: heads, head_dim: 0.0, pairs }
}
