//! For every operator, what `work` claims equals what the meter counts while `eval` runs:
//! operations per engine class, and distinct elements touched per operand.

use cosim::op::meter::{Metered, metered};
use cosim::op::scalar::Scalar;
use cosim::op::*;
use cosim::tensor::{Dim, Group, Mask, Role, Step, TensorType, WeightKind};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Small extents that a case draws its shapes from.
#[derive(Debug, Clone)]
struct Sizes {
    width: u64,
    outputs: u64,
    groups: u64,
    kv_heads: u64,
    half_dim: u64,
    mask: Mask,
    flag: bool,
    function: Activation,
    pairing: Pairing,
    scaling: Option<RopeScaling>,
}

fn sizes() -> impl Strategy<Value = Sizes> {
    let mask = prop_oneof![
        Just(Mask::Full),
        Just(Mask::Cross),
        Just(Mask::Causal),
        (1..6u64).prop_map(|window| Mask::Sliding { window })
    ];
    let function = prop_oneof![
        Just(Activation::Silu),
        Just(Activation::GeluTanh),
        Just(Activation::GeluErf),
        Just(Activation::Relu),
        Just(Activation::SoftCap(30.0)),
        Just(Activation::Scale(0.5))
    ];
    let scaling = prop_oneof![
        Just(None),
        Just(Some(RopeScaling::Linear { factor: 2.0 })),
        Just(Some(RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192
        })),
        Just(Some(RopeScaling::Yarn {
            factor: 4.0,
            original_context: 4096,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: 1.1
        }))
    ];
    let pairing = prop_oneof![Just(Pairing::Half), Just(Pairing::Interleaved)];
    let numbers = (1..7u64, 1..7u64, 1..4u64, 1..3u64, 1..4u64);
    (numbers, mask, any::<bool>(), function, pairing, scaling).prop_map(
        |((width, outputs, groups, kv_heads, half_dim), mask, flag, function, pairing, scaling)| {
            Sizes {
                width,
                outputs,
                groups,
                kv_heads,
                half_dim,
                mask,
                flag,
                function,
                pairing,
                scaling,
            }
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let groups = prop::collection::vec((1..3u64, 1..5u64, 0..6u64, 1..5u64), 1..4);
    let mixed = groups.prop_map(|groups| {
        let groups =
            groups.into_iter().map(|(count, new, past, source)| Group { count, new, past, source });
        Step::mixed(groups).expect("valid")
    });
    let verify = (1..3u64, 1..5u64, 0..6u64)
        .prop_map(|(batch, tokens, past)| Step::verify(batch, tokens, past))
        .prop_map(|step| step.and_then(|s| s.with_source(3)).expect("valid"));
    prop_oneof![mixed, verify]
}

/// Rows of so many frames a token.
fn frames(n: u64) -> Dim {
    if n == 1 { Dim::Tokens } else { Dim::Frames(n) }
}

/// One of each operator, with operand types.
fn cases(s: &Sizes) -> Vec<(Op, Vec<TensorType>)> {
    let act = TensorType::activation;
    let weight = TensorType::weight;
    let ids = TensorType { rows: Dim::Tokens, width: 1, role: Role::TokenIds };
    let heads = s.groups * s.kv_heads;
    let dim = 2 * s.half_dim;
    let kv = s.kv_heads * dim;
    let keys = TensorType::keys(s.kv_heads, dim, s.mask);
    let past =
        (s.mask != Mask::Cross).then(|| TensorType::cache(Dim::Past, s.kv_heads, dim, s.mask));
    let buckets = Buckets { count: 8, max_distance: 6, bidirectional: s.flag };
    let score_bias = match s.mask {
        Mask::Sliding { .. } => Some(ScoreBias::Alibi),
        Mask::Full | Mask::Causal => Some(ScoreBias::Relative(buckets)),
        Mask::Cross => None,
    };
    let table = matches!(score_bias, Some(ScoreBias::Relative(_)))
        .then(|| weight(WeightKind::Position, 8, heads));
    let pairs = act(Dim::Pairs(s.mask), heads);
    let bias = |width| s.flag.then(|| weight(WeightKind::Bias, 1, width));
    let norm = |kind| {
        let op = Norm {
            kind,
            rows: Dim::Tokens,
            groups: s.groups,
            width: s.width,
            epsilon: 1e-5,
            unit_offset: s.outputs.is_multiple_of(2),
            bias: s.flag,
        };
        let x = act(Dim::Tokens, s.groups * s.width);
        let operands = [x, weight(WeightKind::Norm, 1, s.width)].into_iter().chain(bias(s.width));
        (op.into(), operands.collect())
    };
    let sampler = if s.flag { Sampler::Random { temperature: 0.7 } } else { Sampler::Greedy };
    let uniform = s.flag.then(|| act(Dim::Logits, 1));
    vec![
        (
            MatMul { rows: Dim::Tokens, inputs: s.width, outputs: s.outputs, bias: s.flag }.into(),
            [act(Dim::Tokens, s.width), weight(WeightKind::Projection, s.outputs, s.width)]
                .into_iter()
                .chain(bias(s.outputs))
                .collect(),
        ),
        (
            Embedding { vocabulary: s.outputs + 4, width: s.width, scale: s.flag.then_some(2.0) }
                .into(),
            vec![ids, weight(WeightKind::Embedding, s.outputs + 4, s.width)],
        ),
        (
            Position { positions: 16, offset: 2, width: s.width }.into(),
            vec![weight(WeightKind::Position, 16, s.width)],
        ),
        norm(NormKind::Rms),
        norm(NormKind::Layer),
        (
            Rope {
                heads,
                head_dim: dim + 2 * u64::from(s.flag),
                rotary_dim: dim,
                theta: 10_000.0,
                pairing: s.pairing,
                scaling: s.scaling,
            }
            .into(),
            vec![act(Dim::Tokens, heads * (dim + 2 * u64::from(s.flag)))],
        ),
        (
            KvAppend { kv_heads: s.kv_heads, head_dim: dim, mask: s.mask }.into(),
            [act(Dim::Tokens, kv)].into_iter().chain(past).collect(),
        ),
        (
            Scores {
                heads,
                kv_heads: s.kv_heads,
                head_dim: dim,
                mask: s.mask,
                scale: 0.5,
                softcap: s.flag.then_some(50.0),
                bias: score_bias,
            }
            .into(),
            [act(Dim::Tokens, heads * dim), keys].into_iter().chain(table).collect(),
        ),
        (
            Softmax { heads, mask: s.mask, sinks: s.flag }.into(),
            [pairs].into_iter().chain(s.flag.then(|| weight(WeightKind::Bias, 1, heads))).collect(),
        ),
        (
            WeightedSum { heads, kv_heads: s.kv_heads, head_dim: dim, mask: s.mask }.into(),
            vec![pairs, keys],
        ),
        (
            Gate { width: s.width, function: s.function }.into(),
            vec![act(Dim::Tokens, s.width), act(Dim::Tokens, s.width)],
        ),
        (
            Activate { rows: Dim::Logits, width: s.width, function: s.function }.into(),
            vec![act(Dim::Logits, s.width)],
        ),
        (Add { width: s.width }.into(), vec![act(Dim::Tokens, s.width), act(Dim::Tokens, s.width)]),
        (
            Conv1d {
                per_token: s.groups,
                inputs: s.width,
                outputs: s.outputs,
                kernel: 3,
                stride: s.kv_heads,
            }
            .into(),
            vec![
                act(frames(s.groups * s.kv_heads), s.width),
                weight(WeightKind::Convolution, s.outputs, 3 * s.width),
                weight(WeightKind::Bias, 1, s.outputs),
            ],
        ),
        (Select { width: s.width }.into(), vec![act(Dim::Tokens, s.width)]),
        (
            Sample { vocabulary: s.outputs, sampler }.into(),
            [act(Dim::Logits, s.outputs)].into_iter().chain(uniform).collect(),
        ),
    ]
}

/// Reproducible values in (0, 1); token ids run through the vocabulary so that as many distinct
/// rows as possible are read.
fn values(operand: &TensorType, step: &Step, vocabulary: u64) -> Vec<Metered> {
    let elements = operand.elements(step) as u64;
    (0..elements)
        .map(|i| match operand.role {
            Role::TokenIds => Metered::constant((i % vocabulary) as f64),
            _ => Metered::constant(((i * 37 + 11) % 101) as f64 / 101.0 + 0.001),
        })
        .collect()
}

fn compare(op: &Op, operands: &[TensorType], step: &Step) -> Result<(), TestCaseError> {
    let result = op.infer(operands).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let vocabulary = match op {
        Op::Embedding(e) => e.vocabulary,
        _ => 1,
    };
    let data: Vec<_> = operands.iter().map(|o| values(o, step, vocabulary)).collect();
    let touched: Vec<_> = data.iter().map(|d| Touched::none(d.len())).collect();
    let views: Vec<_> = operands
        .iter()
        .zip(&data)
        .zip(&touched)
        .map(|((o, d), t)| Operand::new(d, o.width as usize).recorded(t))
        .collect();
    let mut out = vec![Metered::constant(f64::NAN); result.elements(step) as usize];
    let written = Touched::none(out.len());
    let mut target = Target::new(&mut out, result.width as usize).recorded(&written);
    let ((), counts) = metered(|| op.eval(step, &views, &mut target));

    let work = op.work(step);
    prop_assert_eq!(counts.unscoped, 0, "{} computes outside an engine scope", op.name());
    let counted = [counts.matrix, counts.vector, counts.special].map(|c| c as f64);
    prop_assert_eq!([work.matrix, work.vector, work.special], counted, "operations of {:?}", op);
    let mut reads = [0.0; MAX_OPERANDS];
    for (read, touched) in reads.iter_mut().zip(&touched) {
        *read = touched.count() as f64;
    }
    prop_assert_eq!(work.reads, reads, "elements read by {:?}", op);
    prop_assert_eq!(work.writes, written.count() as f64, "elements written by {:?}", op);
    prop_assert!(out.iter().all(|v| !v.value().is_nan()), "{} leaves holes", op.name());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn work_equals_what_eval_does(sizes in sizes(), step in steps()) {
        let cases = cases(&sizes);
        let covered: BTreeSet<&str> = cases.iter().map(|(op, _)| op.name()).collect();
        let all: BTreeSet<&str> = Op::NAMES.iter().copied().collect();
        prop_assert_eq!(covered, all, "an operator has no case here");
        for (op, operands) in &cases {
            match op {
                // What an encoder keeps are its own tokens.
                Op::KvAppend(KvAppend { mask: Mask::Cross, .. }) => {
                    let groups = step.groups().iter().map(|g| Group { source: g.new, ..*g });
                    compare(op, operands, &Step::mixed(groups).expect("valid"))?;
                }
                _ => compare(op, operands, &step)?,
            }
        }
    }
}
