//! Operators against numbers worked out by hand.

use cosim::op::{Op, Operand, ScoreBias, Scores, Softmax, Target};
use cosim::tensor::{Mask, Step};

/// The result, `rows x width`, on one sequence of two tokens; operands come with their widths.
fn eval(op: impl Into<Op>, operands: &[(&[f64], usize)], width: usize, rows: usize) -> Vec<f64> {
    let views: Vec<Operand<'_, f64>> =
        operands.iter().map(|(data, width)| Operand::new(data, *width)).collect();
    let mut out = vec![0.0; rows * width];
    let step = Step::prefill(1, 2).expect("two tokens");
    op.into().eval(&step, &views, &mut Target::new(&mut out, width));
    out
}

#[test]
fn alibi_lowers_scores_by_slope_times_distance() {
    let scores = Scores {
        heads: 2,
        kv_heads: 1,
        head_dim: 1,
        mask: Mask::Causal,
        scale: 0.5,
        softcap: None,
        bias: Some(ScoreBias::Alibi),
    };
    // Two heads have slopes 2^-4 and 2^-8; pairs are (0, 0), (1, 0), (1, 1).
    let found = eval(scores, &[(&[1.0, 2.0, 3.0, 4.0], 2), (&[5.0, 6.0], 1)], 2, 3);
    let expected = [2.5, 5.0, 7.5 - 0.0625, 10.0 - 0.00390625, 9.0, 12.0];
    assert_eq!(found, expected);
}

#[test]
fn a_sink_takes_its_share_and_gives_no_value() {
    let softmax = Softmax { heads: 1, mask: Mask::Causal, sinks: true };
    let found = eval(softmax, &[(&[0.0, 0.0, 3f64.ln()], 1), (&[0.0], 1)], 1, 3);
    // Row 0: 1 of 1 + 1; row 1: 1 and 3 of 1 + 3 + 1.
    for (found, expected) in found.iter().zip([0.5, 0.2, 0.6]) {
        assert!((found - expected).abs() < 1e-15, "{found} is not {expected}");
    }
}
