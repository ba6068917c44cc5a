//! The mean over a span of decode steps, in closed form.
//!
//! In a decode step every resource time of a kernel is affine in the context between the contexts
//! at which a sliding window fills. A kernel's time is the largest of them, so convex and piecewise
//! linear: where one resource is the largest at both ends it is so throughout, and the sum over
//! the span is the trapezoid's; elsewhere the span is cut where the two largest cross.

use super::bound::{Times, longest};
use super::kernel::KernelCost;
use std::ops::RangeInclusive;

/// Sum of `max(times)` over the integer contexts from the first to the last.
///
/// `first` and `last` are the kernel's costs at the two ends, between which every resource time is
/// affine. Exact within rounding.
pub(super) fn sum_of_longest(
    first: &KernelCost,
    last: &KernelCost,
    contexts: RangeInclusive<u64>,
) -> f64 {
    let (mut from, to) = (*contexts.start(), *contexts.end());
    let width = (to - from) as f64;
    let at = |context: u64| -> Times {
        let t = if width > 0.0 { (context - contexts.start()) as f64 / width } else { 0.0 };
        std::array::from_fn(|i| first.times[i] + (last.times[i] - first.times[i]) * t)
    };
    let mut sum = 0.0;
    while from <= to {
        let start = at(from);
        let winner = longest(&start) as usize;
        let end = last_won_by(winner, from, to, at);
        sum += (end - from + 1) as f64 * (start[winner] + at(end)[winner]) / 2.0;
        from = end + 1;
    }
    sum
}

/// The last context at which `winner` is still the largest, by bisection: what has overtaken it
/// stays ahead.
fn last_won_by(winner: usize, from: u64, to: u64, at: impl Fn(u64) -> Times) -> u64 {
    let wins = |context: u64| {
        let times = at(context);
        times.iter().all(|&t| t <= times[winner])
    };
    if wins(to) {
        return to;
    }
    let (mut yes, mut no) = (from, to);
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        if wins(middle) { yes = middle } else { no = middle }
    }
    yes
}

/// The span cut into pieces between which no window fills: a piece ends at a window's length.
pub(super) fn pieces(
    contexts: RangeInclusive<u64>,
    windows: &[u64],
) -> impl Iterator<Item = RangeInclusive<u64>> {
    let (mut from, to) = contexts.into_inner();
    let ends = windows.iter().copied().chain([u64::MAX]);
    ends.filter_map(move |end| {
        let end = end.min(to);
        if from > end {
            return None;
        }
        let piece = from..=end;
        from = end + 1;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn closed_form_equals_the_step_by_step_sum(
            lines in prop::array::uniform6((0.0..10.0f64, 0.0..0.1f64)),
            from in 1..200u64,
            steps in 0..300u64,
        ) {
            let at = |c: u64| KernelCost {
                times: lines.map(|(a, b)| a + b * c as f64),
                ..KernelCost::default()
            };
            let to = from + steps;
            let direct: f64 = (from..=to).map(|c| at(c).longest()).sum();
            let closed = sum_of_longest(&at(from), &at(to), from..=to);
            prop_assert!((closed - direct).abs() <= 1e-9 * direct.max(1.0));
        }
    }

    #[test]
    fn pieces_cover_the_span_once() {
        let all = |from, to, windows: &[u64]| pieces(from..=to, windows).collect::<Vec<_>>();
        assert_eq!(all(5, 9, &[]), [5..=9]);
        assert_eq!(all(5, 9, &[7]), [5..=7, 8..=9]);
        assert_eq!(all(5, 9, &[3, 7, 20]), [5..=7, 8..=9]);
        assert_eq!(all(5, 5, &[5]), [5..=5]);
    }
}
