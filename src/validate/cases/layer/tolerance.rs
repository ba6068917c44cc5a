//! What a layer's elements may be off by.

use crate::validate::Layout;

/// The size that an element's error is judged by: its own, and the median of its token's (A114).
fn sizes(truth: &[f64], width: usize) -> Vec<f64> {
    let of = |row: &[f64]| {
        let mut sorted: Vec<f64> = row.iter().map(|x| x.abs()).collect();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        row.iter().map(|x| x.abs() + median).collect::<Vec<f64>>()
    };
    truth.chunks_exact(width).flat_map(of).collect()
}

/// The tolerance of every element: twice the largest error of the emulations relative to an element's size, and
/// one unit in the last place of that size; anything in tokens whose experts are open.
pub(super) fn by_size(
    layout: &Layout,
    open: &[usize],
    right: &[&[f64]],
    truth: &[f64],
) -> Vec<f64> {
    let width = layout.width();
    let sizes = sizes(truth, width);
    let is_open = |i: usize| open.contains(&(i / width));
    let relative = |of: &[f64]| {
        let judged = (0..truth.len()).filter(|&i| !is_open(i));
        let errors = judged.map(|i| (of[i] - truth[i]).abs() / sizes[i].max(f64::MIN_POSITIVE));
        errors.filter(|e| e.is_finite()).fold(0.0, f64::max)
    };
    let worst = right.iter().map(|of| relative(of)).fold(0.0, f64::max);
    let allowed = |(i, &size): (usize, &f64)| match is_open(i) {
        true => f64::INFINITY,
        false => 2.0 * worst * size + layout.stored.ulp(size),
    };
    sizes.iter().enumerate().map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Float;
    use crate::validate::Stored;

    /// Tokens of medians 2 and 200, an outlier of 1000 in the first; an emulation that is 1 % off in one
    /// element of size 1 + 2, and one whose third token is open.
    #[test]
    fn an_element_is_judged_by_its_own_size_and_its_tokens() {
        let stored = Stored::Float(Float::BF16);
        let layout = Layout::new("out", "", [("token", 3), ("element", 3)], stored);
        let truth = [1.0, -2.0, 1000.0, 100.0, 200.0, 300.0, 1.0, 1.0, 1.0];
        let mut right = truth;
        right[0] += 0.03;
        right[8] = 9.0;
        let tolerance = by_size(&layout, &[2], &[&right], &truth);
        let near = |i: usize, expected: f64| {
            assert!((tolerance[i] / expected - 1.0).abs() < 1e-12, "{i}: {}", tolerance[i]);
        };
        // A unit of bf16 is 2^-7 of the power of two below.
        near(0, 0.02 * 3.0 + 2.0 / 128.0);
        near(2, 0.02 * 1002.0 + 512.0 / 128.0);
        near(3, 0.02 * 300.0 + 256.0 / 128.0);
        assert!(tolerance[6..].iter().all(|t| t.is_infinite()));
    }
}
