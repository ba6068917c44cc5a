//! The operators with operands of random extents.

use super::experts::expert_cases;
use cosim::op::*;
use cosim::tensor::{Dim, Group, Mask, Role, Step, Stripe, TensorType, WeightKind};
use proptest::prelude::*;

/// Small extents that a case draws its shapes from.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    pub(super) width: u64,
    pub(super) outputs: u64,
    pub(super) groups: u64,
    pub(super) kv_heads: u64,
    pub(super) half_dim: u64,
    pub(super) mask: Mask,
    pub(super) flag: bool,
    pub(super) function: Activation,
    pub(super) pairing: Pairing,
    pub(super) scaling: Option<RopeScaling>,
}

pub(super) fn stripes() -> impl Strategy<Value = Stripe> {
    (1..4u64).prop_flat_map(|of| (0..of).prop_map(move |rank| Stripe { rank, of }))
}

/// The positions of the tokens of a case.
pub(super) fn stripe(s: &Sizes) -> Stripe {
    Stripe { rank: s.groups - 1, of: s.groups }
}

pub(super) fn sizes() -> impl Strategy<Value = Sizes> {
    let mask = prop_oneof![
        Just(Mask::Full),
        Just(Mask::Cross),
        Just(Mask::Causal),
        (1..6u64).prop_map(|window| Mask::Sliding { window }),
        (stripes(), prop::option::of(1..6u64))
            .prop_map(|(stripe, window)| Mask::Striped { stripe, window }),
        (stripes(), prop::option::of(1..6u64))
            .prop_map(|(stripe, window)| Mask::Part { stripe, window })
    ];
    let function = prop_oneof![
        Just(Activation::Silu),
        Just(Activation::GeluSigmoid),
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
            attention_factor: 1.1,
            truncate: true
        })),
        Just(Some(RopeScaling::Table { divisors: vec![1.0, 1.5, 2.0, 4.0] })),
        (1..12u64).prop_map(|original_context| Some(RopeScaling::LongRope {
            short: vec![1.0, 1.5, 2.0, 4.0],
            long: vec![2.0, 3.0, 4.0, 8.0],
            original_context,
            attention_factor: 1.2,
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

pub(super) fn steps() -> impl Strategy<Value = Step> {
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
pub(super) fn frames(n: u64) -> Dim {
    if n == 1 { Dim::Tokens } else { Dim::Frames(n) }
}

/// One of each operator, with operand types.
pub(super) fn cases(s: &Sizes, step: &Step) -> Vec<(Op, Vec<TensorType>)> {
    let act = TensorType::activation;
    let weight = TensorType::weight;
    let ids = TensorType { rows: Dim::Tokens, width: 1, role: Role::TokenIds };
    let heads = s.groups * s.kv_heads;
    let dim = 2 * s.half_dim;
    let kv = s.kv_heads * dim;
    let keys = TensorType::keys(s.kv_heads, dim, s.mask);
    // What is brought together is appended to under the mask of a stripe.
    let kept = match s.mask {
        Mask::Striped { stripe, window } => Mask::Part { stripe, window },
        mask => mask,
    };
    let past = match kept {
        Mask::Cross => None,
        Mask::Part { stripe, .. } => Some(Dim::PastPart(stripe)),
        _ => Some(Dim::Past),
    };
    let past = past.map(|rows| TensorType::cache(rows, s.kv_heads, dim, kept));
    let buckets = Buckets { count: 8, max_distance: 6, bidirectional: s.flag };
    let score_bias = match s.mask {
        Mask::Sliding { .. } => Some(ScoreBias::Alibi),
        Mask::Part { .. } if s.flag => Some(ScoreBias::AlibiBf16 { first: 0, of: heads }),
        Mask::Part { .. } => Some(ScoreBias::Alibi),
        Mask::Full | Mask::Causal | Mask::Striped { .. } => Some(ScoreBias::Relative(buckets)),
        Mask::Cross => None,
    };
    let table = matches!(score_bias, Some(ScoreBias::Relative(_)))
        .then(|| weight(WeightKind::Position, 8, heads));
    let pairs = act(Dim::Pairs(s.mask), heads);
    // Over a part of the keys a softmax is a partial one.
    let whole = match s.mask {
        Mask::Part { .. } => Mask::Causal,
        mask => mask,
    };
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
            own_gain: s.width.is_multiple_of(2),
        };
        let x = act(Dim::Tokens, s.groups * s.width);
        let gains = if op.own_gain { s.groups * s.width } else { s.width };
        let operands = [x, weight(WeightKind::Norm, 1, gains)].into_iter().chain(bias(gains));
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
            Embedding {
                vocabulary: s.outputs + 4,
                width: s.width,
                first: 0,
                scale: s.flag.then_some(2.0),
            }
            .into(),
            vec![ids, weight(WeightKind::Embedding, s.outputs + 4, s.width)],
        ),
        (
            Position { positions: 64, offset: 2, width: s.width, stripe: stripe(s) }.into(),
            vec![weight(WeightKind::Position, 64, s.width)],
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
                scaling: s.scaling.clone(),
                stripe: stripe(s),
            }
            .into(),
            vec![act(Dim::Tokens, heads * (dim + 2 * u64::from(s.flag)))],
        ),
        (
            KvAppend { kv_heads: s.kv_heads, head_dim: dim, mask: kept }.into(),
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
            Scores {
                heads,
                kv_heads: s.kv_heads,
                head_dim: dim,
                mask: Mask::Causal,
                scale: 0.5,
                softcap: None,
                bias: Some(ScoreBias::PositionKeys),
            }
            .into(),
            vec![
                act(Dim::Tokens, heads * dim),
                TensorType::keys(s.kv_heads, dim, Mask::Causal),
                TensorType::keys(heads, dim, Mask::Causal),
            ],
        ),
        (
            Softmax { heads, mask: whole, sinks: s.flag }.into(),
            [act(Dim::Pairs(whole), heads)]
                .into_iter()
                .chain(s.flag.then(|| weight(WeightKind::Bias, 1, heads)))
                .collect(),
        ),
        (
            WeightedSum {
                heads,
                kv_heads: s.kv_heads,
                head_dim: dim,
                mask: s.mask,
                expanded: false,
            }
            .into(),
            vec![pairs, keys],
        ),
        (
            Gate {
                rows: Dim::Tokens,
                width: s.width,
                function: s.function,
                limit: s.flag.then_some(0.5),
                choices: None,
            }
            .into(),
            vec![act(Dim::Tokens, s.width), act(Dim::Tokens, s.width)],
        ),
        (Activate::new(Dim::Logits, s.width, s.function).into(), vec![act(Dim::Logits, s.width)]),
        (
            ReduceScatter { width: s.width, ranks: s.groups + 1 }.into(),
            vec![act(Dim::Tokens, s.width)],
        ),
        (
            GatherTokens { width: s.width, ranks: s.groups + 1 }.into(),
            vec![act(Dim::Share(s.groups + 1), s.width)],
        ),
        (
            Add { rows: Dim::Tokens, width: s.width }.into(),
            vec![act(Dim::Tokens, s.width), act(Dim::Tokens, s.width)],
        ),
        (
            AllReduce { rows: Dim::Tokens, width: s.width, ranks: s.groups }.into(),
            vec![act(Dim::Tokens, s.width)],
        ),
        (
            AllGather {
                rows: Dim::Logits,
                width: s.width,
                parts: s.groups,
                ranks: s.groups * s.kv_heads,
            }
            .into(),
            vec![act(Dim::Logits, s.width.div_ceil(s.groups))],
        ),
        (
            PositionKeys { inputs: 2 * s.width, outputs: s.outputs }.into(),
            vec![weight(WeightKind::Projection, s.outputs, 2 * s.width)],
        ),
        (Send { rows: Dim::Tokens, width: s.width }.into(), vec![act(Dim::Tokens, s.width)]),
        (
            Broadcast { rows: Dim::Tokens, width: s.width, ranks: s.groups + 1 }.into(),
            vec![act(Dim::Tokens, s.width)],
        ),
        (
            Quantize { rows: Dim::Tokens, width: s.width, group: s.outputs, choices: None }.into(),
            vec![act(Dim::Tokens, s.width)],
        ),
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
        (
            GatherKeys {
                kv_heads: s.kv_heads,
                head_dim: dim,
                mask: Mask::Causal,
                ranks: s.groups + 1,
            }
            .into(),
            vec![TensorType::keys(s.kv_heads, dim, Mask::Causal)],
        ),
        (PartialSoftmax { heads, mask: s.mask }.into(), vec![pairs]),
        (SoftmaxSums { heads, mask: s.mask }.into(), vec![pairs, pairs]),
        (
            MergeAttention { heads, head_dim: dim, ranks: s.groups + 1, sinks: s.flag }.into(),
            [act(Dim::Tokens, heads * dim), act(Dim::Tokens, 2 * heads)]
                .into_iter()
                .chain(s.flag.then(|| weight(WeightKind::Bias, 1, heads)))
                .collect(),
        ),
        (Select { width: s.width }.into(), vec![act(Dim::Tokens, s.width)]),
        (
            Sample { vocabulary: s.outputs, sampler }.into(),
            [act(Dim::Logits, s.outputs)].into_iter().chain(uniform).collect(),
        ),
    ]
    .into_iter()
    .chain(latent_cases(s))
    .chain(expert_cases(s, step))
    .collect()
}

/// The operators of latent attention, absorbed and expanded.
pub(super) fn latent_cases(s: &Sizes) -> Vec<(Op, Vec<TensorType>)> {
    let act = TensorType::activation;
    let cache = |width| TensorType::cache(Dim::Context, 1, width, Mask::Causal);
    let (heads, own, turned, latent) = (s.groups, s.outputs, 2 * s.kv_heads, s.width);
    let weight = TensorType::weight(WeightKind::Projection, heads * own, latent);
    let fold = |fold, passed| HeadMatMul { heads, passed, head_dim: own, latent, fold };
    let scores = |absorbed| LatentScores {
        heads,
        kv_heads: if absorbed { 1 } else { heads },
        head_dim: if absorbed { latent } else { own },
        rotary_dim: turned,
        scale: 0.5,
        absorbed,
    };
    let sum =
        WeightedSum { heads, kv_heads: heads, head_dim: own, mask: Mask::Causal, expanded: true };
    let expanded = act(Dim::Context, heads * own);
    vec![
        (Expand { latent, outputs: heads * own }.into(), vec![cache(latent), weight]),
        (fold(Fold::Into, turned).into(), vec![act(Dim::Tokens, heads * (turned + own)), weight]),
        (fold(Fold::OutOf, 0).into(), vec![act(Dim::Tokens, heads * latent), weight]),
        (
            scores(true).into(),
            vec![act(Dim::Tokens, heads * (turned + latent)), cache(latent), cache(turned)],
        ),
        (
            scores(false).into(),
            vec![act(Dim::Tokens, heads * (turned + own)), expanded, cache(turned)],
        ),
        (sum.into(), vec![act(Dim::Pairs(Mask::Causal), heads), expanded]),
    ]
}
