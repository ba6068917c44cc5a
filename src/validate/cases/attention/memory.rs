//! What a kernel finds that reads arrays in another layout than they have.

use super::Attention;
use crate::validate::Inputs;

/// What a reader of `[batch, tokens, heads, d]` finds who takes it for `[batch, heads, tokens, d]`.
pub(in super::super) fn heads_first(
    values: &[f64],
    [batch, tokens, heads, dim]: [u64; 4],
) -> Vec<f64> {
    let [batch, tokens, heads, dim] = [batch, tokens, heads, dim].map(|n| n as usize);
    let mut out = Vec::with_capacity(values.len());
    for (b, t, h) in
        (0..batch).flat_map(|b| (0..tokens).flat_map(move |t| (0..heads).map(move |h| (b, t, h))))
    {
        out.extend_from_slice(&values[((b * heads + h) * tokens + t) * dim..][..dim]);
    }
    out
}

/// The halves of every head of so many elements swapped; of an odd number the last one stays.
pub(super) fn halves(dim: u64, values: &[f64]) -> Vec<f64> {
    let half = dim as usize / 2;
    let turned = |head: &[f64]| [&head[half..2 * half], &head[..half], &head[2 * half..]].concat();
    values.chunks_exact(dim as usize).flat_map(turned).collect()
}

/// Heads of `dim` elements read every `stride` elements; beyond the last element the first follows.
fn strided(values: &[f64], dim: u64, stride: u64) -> Vec<f64> {
    let (dim, stride) = (dim as usize, stride as usize);
    let head = |r: usize| (0..dim).map(move |i| values[(r * stride + i) % values.len()]);
    (0..values.len() / dim).flat_map(head).collect()
}

/// Values read with the stride of keys.
pub(super) fn values_as_keys(case: &Attention, inputs: &Inputs) -> Inputs {
    inputs.with("v", strided(inputs.of("v"), case.value_dim(), case.head_dim))
}

/// Keys read with the stride of values.
pub(super) fn keys_as_values(case: &Attention, inputs: &Inputs) -> Inputs {
    inputs.with("k", strided(inputs.of("k"), case.head_dim, case.value_dim()))
}

/// Keys read where the values lie, values where the keys lie.
pub(super) fn swapped(_: &Attention, inputs: &Inputs) -> Inputs {
    let (k, v) = (inputs.of("k"), inputs.of("v"));
    let read = |from: &[f64], count: usize| from.iter().copied().cycle().take(count).collect();
    inputs.with("k", read(v, k.len())).with("v", read(k, v.len()))
}

/// Heads of the output written every `head_dim` elements, in memory that holds zeros.
pub(super) fn out_as_queries(case: &Attention, out: Vec<f64>) -> Vec<f64> {
    let (dim, stride) = (case.value_dim() as usize, case.head_dim as usize);
    let mut written = vec![0.0; out.len()];
    for (r, head) in out.chunks_exact(dim).enumerate() {
        let places = written.iter_mut().skip(r * stride);
        places.zip(head).for_each(|(place, &x)| *place = x);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: heads of two elements, read every three and every one.
    #[test]
    fn another_stride_reads_across_heads() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(strided(&values, 2, 2), values);
        assert_eq!(strided(&values, 2, 3), [0.0, 1.0, 3.0, 4.0, 0.0, 1.0]);
        assert_eq!(strided(&values, 2, 1), [0.0, 1.0, 1.0, 2.0, 2.0, 3.0]);
        assert_eq!(halves(3, &values), [1.0, 0.0, 2.0, 4.0, 3.0, 5.0]);
    }
}
