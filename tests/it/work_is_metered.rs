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
fn cases(s: &Sizes, step: &Step) -> Vec<(Op, Vec<TensorType>)> {
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
            Softmax { heads, mask: s.mask, sinks: s.flag }.into(),
            [pairs].into_iter().chain(s.flag.then(|| weight(WeightKind::Bias, 1, heads))).collect(),
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
            }
            .into(),
            vec![act(Dim::Tokens, s.width), act(Dim::Tokens, s.width)],
        ),
        (
            Activate { rows: Dim::Logits, width: s.width, function: s.function }.into(),
            vec![act(Dim::Logits, s.width)],
        ),
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
            Quantize { rows: Dim::Tokens, width: s.width, group: s.outputs }.into(),
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
fn latent_cases(s: &Sizes) -> Vec<(Op, Vec<TensorType>)> {
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

/// The expert that token `t` has as its `j`-th, of `experts`.
fn expert(t: u64, j: u64, experts: u64) -> u64 {
    (t * 3 + j) % experts
}

/// The operators of a mixture of experts, with the load that [`values`] realises.
fn expert_cases(s: &Sizes, step: &Step) -> Vec<(Op, Vec<TensorType>)> {
    let act = TensorType::activation;
    let weight = TensorType::weight;
    let (active, best) = (s.groups, s.kv_heads);
    let groups = s.flag.then_some(Groups { count: 3, active: 2, best });
    let experts = 3 * (active + best);
    let choices = (0..step.tokens() as u64).flat_map(|t| (0..active).map(move |j| (t, j)));
    let held = match s.outputs % 4 {
        0 => Held { first: 0, count: experts / 3, of: experts },
        1 => Held { first: experts / 3, count: experts / 3, of: experts },
        _ => Held::all(experts),
    };
    let own: Vec<(u64, u64)> = choices
        .map(|(t, j)| (t, expert(t, j, experts)))
        .filter(|(_, e)| held.place(*e).is_some())
        .collect();
    let load = ExpertLoad::Realised {
        distinct: own.iter().map(|(_, e)| e).collect::<BTreeSet<_>>().len() as u64,
        tokens: own.iter().map(|(t, _)| t).collect::<BTreeSet<_>>().len() as u64,
        rows: own.len() as u64,
    };
    let (width, routed) = (s.width, Dim::Routed(active));
    let routes = act(Dim::Tokens, 2 * active);
    let scorings = [Scoring::Softmax, Scoring::TopKSoftmax, Scoring::Sigmoid].into_iter();
    let route = scorings.map(|scoring| {
        let route = Route {
            experts,
            active,
            scoring,
            normalise: s.outputs.is_multiple_of(2),
            groups,
            scaling: if s.width.is_multiple_of(2) { 2.5 } else { 1.0 },
            correction: s.flag,
        };
        let correction = s.flag.then(|| weight(WeightKind::Bias, 1, experts));
        (route.into(), [act(Dim::Tokens, experts)].into_iter().chain(correction).collect())
    });
    let product = [Dim::Tokens, routed].into_iter().map(|rows| {
        let (inputs, outputs, load) = (width, s.outputs, load.clone());
        let product = GroupedMatMul { rows, held, active, inputs, outputs, load };
        let w = weight(WeightKind::Projection, held.count * outputs, inputs);
        (product.into(), vec![act(rows, inputs), routes, w])
    });
    let bias = ExpertBias { held, active, width, load: load.clone() }.into();
    let biases = weight(WeightKind::Bias, held.count, width);
    let combine = Combine { held, active, width, load: load.clone() };
    let others = [
        (bias, vec![act(routed, width), routes, biases]),
        (combine.into(), vec![act(routed, width), routes]),
    ];
    route.chain(product).chain(others).collect()
}

/// Routes as [`Route`] makes them: expert numbers, then weights.
fn routes(ty: &TensorType, step: &Step, experts: u64) -> Vec<Metered> {
    let k = ty.width / 2;
    let row = |t: u64| {
        let experts = (0..k).map(move |j| expert(t, j, experts) as f64);
        experts.chain((0..k).map(|j| 1.0 / (j + 1) as f64)).map(Metered::constant)
    };
    (0..step.tokens() as u64).flat_map(row).collect()
}

/// Reproducible values in (0, 1); token ids run through the vocabulary so that as many distinct
/// rows as possible are read.
fn values(operand: &TensorType, step: &Step, vocabulary: u64, ranks: u64) -> Vec<Metered> {
    let elements = operand.elements(step) as u64 * ranks;
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
    // A collective's `eval` is that of all ranks, its `work` that of one.
    let ranks = match op.pattern(step) {
        Pattern::Collective { ranks, .. } => ranks,
        _ => 1,
    };
    let mut data: Vec<_> = operands.iter().map(|o| values(o, step, vocabulary, ranks)).collect();
    match op {
        Op::GroupedMatMul(GroupedMatMul { held, .. })
        | Op::Combine(Combine { held, .. })
        | Op::ExpertBias(ExpertBias { held, .. }) => {
            data[1] = routes(&operands[1], step, held.of);
        }
        _ => {}
    }
    let touched: Vec<_> = data.iter().map(|d| Touched::none(d.len())).collect();
    let views: Vec<_> = operands
        .iter()
        .zip(&data)
        .zip(&touched)
        .map(|((o, d), t)| Operand::new(d, o.width as usize).recorded(t))
        .collect();
    let mut out =
        vec![Metered::constant(f64::NAN); result.elements(step) as usize * ranks as usize];
    let written = Touched::none(out.len());
    let mut target = Target::new(&mut out, result.width as usize).recorded(&written);
    let ((), counts) = metered(|| op.eval(step, &views, &mut target));

    let work = op.work(step);
    prop_assert_eq!(counts.unscoped, 0, "{} computes outside an engine scope", op.name());
    let all = |claims: f64| {
        let claims = claims * ranks as f64;
        // A rank's share of a collective may be a fraction of an element.
        if ranks > 1 { claims.round() } else { claims }
    };
    let counted = [counts.matrix, counts.vector, counts.special].map(|c| c as f64);
    let claimed = [work.matrix, work.vector, work.special].map(all);
    prop_assert_eq!(claimed, counted, "operations of {:?}", op);
    let mut reads = [0.0; MAX_OPERANDS];
    for (read, touched) in reads.iter_mut().zip(&touched) {
        *read = touched.count() as f64;
    }
    prop_assert_eq!(work.reads.map(all), reads, "elements read by {:?}", op);
    prop_assert_eq!(all(work.writes), written.count() as f64, "elements written by {:?}", op);
    // Rows of experts that other ranks hold stay as they are; every other row is written.
    let elsewhere = match op {
        Op::GroupedMatMul(GroupedMatMul { held, .. }) | Op::ExpertBias(ExpertBias { held, .. }) => {
            !held.is_all()
        }
        _ => false,
    };
    let holes = out.iter().filter(|v| v.value().is_nan()).count();
    let expected = if elsewhere { out.len() - written.count() } else { 0 };
    prop_assert_eq!(holes, expected, "{} leaves holes", op.name());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn work_equals_what_eval_does(sizes in sizes(), step in steps()) {
        let cases = cases(&sizes, &step);
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
