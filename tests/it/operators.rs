//! Operators against numbers worked out by hand.

use cosim::op::{Buckets, Conv1d, Op, Operand, PositionKeys, ScoreBias, Scores, Softmax, Target};
use cosim::tensor::{Dim, Mask, Step, TensorType};

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

#[test]
fn a_query_of_cross_attention_sees_every_source_position_of_its_sequence() {
    let scores = Scores {
        heads: 1,
        kv_heads: 1,
        head_dim: 1,
        mask: Mask::Cross,
        scale: 1.0,
        softcap: None,
        bias: None,
    };
    let step = Step::decode(2, 9).and_then(|step| step.with_source(3)).expect("valid");
    let operands = [Operand::new(&[1.0, 2.0], 1), Operand::new(&[3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 1)];
    let mut out = vec![0.0; 6];
    Op::from(scores).eval(&step, &operands, &mut Target::new(&mut out, 1));
    assert_eq!(out, [3.0, 4.0, 5.0, 12.0, 14.0, 16.0]);
}

#[test]
fn a_learned_bias_is_looked_up_by_bucket_and_head() {
    let buckets = Buckets { count: 4, max_distance: 8, bidirectional: true };
    let scores = Scores {
        heads: 2,
        kv_heads: 2,
        head_dim: 1,
        mask: Mask::Full,
        scale: 1.0,
        softcap: None,
        bias: Some(ScoreBias::Relative(buckets)),
    };
    // Buckets of (0, 0), (0, 1), (1, 0), (1, 1): 0, 3 (one behind), 1 (one before), 0.
    let table: Vec<f64> = (0..8).map(f64::from).collect();
    let zeros = [0.0; 4];
    let found = eval(scores, &[(&zeros, 2), (&zeros, 2), (&table, 2)], 2, 4);
    assert_eq!(found, [0.0, 1.0, 6.0, 7.0, 2.0, 3.0, 0.0, 1.0]);
}

#[test]
fn a_query_meets_the_key_of_its_distance() {
    let scores = |mask| Scores {
        heads: 2,
        kv_heads: 1,
        head_dim: 1,
        mask,
        scale: 0.5,
        softcap: None,
        bias: Some(ScoreBias::PositionKeys),
    };
    // Keys of distances 0 and 1, a head each; pairs are (0, 0), (1, 0), (1, 1).
    let (q, k, r) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0], [10.0, 20.0, 30.0, 40.0]);
    let found = eval(scores(Mask::Causal), &[(&q, 2), (&k, 1), (&r, 2)], 2, 3);
    let of = |q: f64, k: f64, r: f64| 0.5 * (q * k + q * r);
    let expected = [
        of(1.0, 5.0, 10.0),
        of(2.0, 5.0, 20.0),
        of(3.0, 5.0, 30.0),
        of(4.0, 5.0, 40.0),
        of(3.0, 6.0, 10.0),
        of(4.0, 6.0, 20.0),
    ];
    assert_eq!(found, expected);
    let types = |mask| {
        let (queries, keys) =
            (TensorType::activation(Dim::Tokens, 2), TensorType::keys(1, 1, mask));
        Op::from(scores(mask)).infer(&[queries, keys, TensorType::keys(2, 1, mask)])
    };
    assert!(types(Mask::Causal).is_ok() && types(Mask::Sliding { window: 4 }).is_err());
}

#[test]
fn keys_of_positions_are_projected_sines_and_cosines() {
    let keys = PositionKeys { inputs: 4, outputs: 1 };
    let w = [1.0, 10.0, 100.0, 1000.0];
    let found = eval(keys, &[(&w, 4)], 1, 2);
    // Frequencies 1 and 10000^(-2/4) = 0.01.
    let second = 1f64.sin() + 10.0 * 0.01f64.sin() + 100.0 * 1f64.cos() + 1000.0 * 0.01f64.cos();
    assert!(found[0] == 1100.0 && (found[1] - second).abs() < 1e-9, "{found:?}");
}

#[test]
fn buckets_are_those_of_t5() {
    let of = |bidirectional, relative| {
        Buckets { count: 32, max_distance: 128, bidirectional }.of(relative)
    };
    // Both sides: 8 exact distances, then 8 + floor(8 ln(d / 8) / ln 16), 16 more behind the query.
    let both = [0, -7, -8, -10, -12, -16, -32, -64, -128, 1, 8, 16, 500];
    let expected = [0, 7, 8, 8, 9, 10, 12, 14, 15, 17, 24, 26, 31];
    assert_eq!(both.map(|r| of(true, r)), expected);
    // One side: 16 exact distances, then 16 + floor(16 ln(d / 16) / ln 8); what lies ahead is 0.
    let one = [0, 5, -15, -16, -32, -64, -127, -128, -4000];
    assert_eq!(one.map(|r| of(false, r)), [0, 0, 15, 16, 21, 26, 31, 31, 31]);
}

#[test]
fn a_convolution_strides_and_pads_with_zeros() {
    let conv = Conv1d { per_token: 1, inputs: 1, outputs: 1, kernel: 3, stride: 2 };
    let x = [1.0, 2.0, 3.0, 4.0];
    let found = eval(conv, &[(&x, 1), (&[1.0, 10.0, 100.0], 3), (&[0.5], 1)], 1, 2);
    // 0 1 2 and 2 3 4 under the taps 1 10 100, and the bias.
    assert_eq!(found, [210.5, 432.5]);
}
