//! For every operator, what `work` claims equals what the meter counts while `eval` runs:
//! operations per engine class, and distinct elements touched per operand.

use cosim::op::meter::{Metered, metered};
use cosim::op::scalar::Scalar;
use cosim::op::*;
use cosim::tensor::{Dim, Group, Mask, Role, Step, Stripe, TensorType, WeightKind};
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

fn stripes() -> impl Strategy<Value = Stripe> {
    (1..4u64).prop_flat_map(|of| (0..of).prop_map(move |rank| Stripe { rank, of }))
}

/// The positions of the tokens of a case.
fn stripe(s: &Sizes) -> Stripe {
    Stripe { rank: s.groups - 1, of: s.groups }
}

fn sizes() -> impl Strategy<Value = Sizes> {
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
        Mask::Sliding { .. } | Mask::Part { .. } => Some(ScoreBias::Alibi),
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
                scaling: s.scaling,
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

/// Experts of the cases of a mixture, held in thirds where they are not held together.
const fn experts(s: &Sizes) -> u64 {
    3 * (s.groups + s.kv_heads)
}

/// The load that tokens `0..tokens` of [`routes`] put on the experts `held`; of `ranks` alike a mean.
fn realised(tokens: u64, active: u64, held: &[Held], ranks: u64) -> ExpertLoad {
    let choices = (0..tokens).flat_map(|t| (0..active).map(move |j| (t, j)));
    let numbered = choices.map(|(t, j)| (t, expert(t, j, held[0].of)));
    let own: Vec<(u64, usize, u64)> = numbered
        .flat_map(|(t, e)| {
            let holders = held.iter().enumerate().filter(move |(_, h)| h.place(e).is_some());
            holders.map(move |(q, _)| (t, q, e))
        })
        .collect();
    let distinct: BTreeSet<u64> = own.iter().map(|(_, _, e)| *e).collect();
    let chosen: BTreeSet<(u64, usize)> = own.iter().map(|(t, q, _)| (*t, *q)).collect();
    let mean = |n: usize| n as f64 / ranks as f64;
    let (distinct, tokens, rows) = (mean(distinct.len()), mean(chosen.len()), mean(own.len()));
    ExpertLoad::Realised { distinct, tokens, rows }
}

/// The operators of a mixture of experts, with the load that [`values`] realises.
fn expert_cases(s: &Sizes, step: &Step) -> Vec<(Op, Vec<TensorType>)> {
    let act = TensorType::activation;
    let weight = TensorType::weight;
    let (active, best, of) = (s.groups, s.kv_heads, experts(s));
    let groups = s.flag.then_some(Groups { count: 3, active: 2, best });
    let held = match s.outputs % 4 {
        0 => Held { first: 0, count: of / 3, of },
        1 => Held { first: of / 3, count: of / 3, of },
        _ => Held::all(of),
    };
    let ranks = if s.width.is_multiple_of(2) && !held.is_all() { 3 } else { 1 };
    let load = realised(ranks * step.tokens() as u64, active, &[held], 1);
    let choices = Choices { active, ranks, held, load };
    let (width, routed, routes) = (s.width, choices.rows(), choices.routes());
    let scorings = [Scoring::Softmax, Scoring::TopKSoftmax, Scoring::Sigmoid].into_iter();
    let route = scorings.map(|scoring| {
        let route = Route {
            experts: of,
            active,
            scoring,
            normalise: s.outputs.is_multiple_of(2),
            groups,
            scaling: if s.width.is_multiple_of(2) { 2.5 } else { 1.0 },
            correction: s.flag,
        };
        let correction = s.flag.then(|| weight(WeightKind::Bias, 1, of));
        (route.into(), [act(Dim::Tokens, of)].into_iter().chain(correction).collect())
    });
    let product = [choices.tokens(), routed].into_iter().map(|rows| {
        let (inputs, outputs, choices) = (width, s.outputs, choices.clone());
        let product = GroupedMatMul { rows, choices, inputs, outputs };
        let w = weight(WeightKind::Projection, held.count * outputs, inputs);
        (product.into(), vec![act(rows, inputs), routes, w])
    });
    let rows = act(routed, width);
    let biases = weight(WeightKind::Bias, held.count, width);
    let (function, limit) = (s.function, s.flag.then_some(0.5));
    let some = Some(choices.clone());
    let gate = Gate { rows: routed, width, function, limit, choices: some.clone() };
    let activate = Activate { rows: routed, width, function, choices: some.clone() };
    let quantize = Quantize { rows: routed, width, group: s.outputs, choices: some };
    let others = [
        (ExpertBias { choices: choices.clone(), width }.into(), vec![rows, routes, biases]),
        (Combine { choices: choices.clone(), width }.into(), vec![rows, routes]),
        (gate.into(), vec![rows, rows, routes]),
        (activate.into(), vec![rows, routes]),
        (quantize.into(), vec![rows, routes]),
    ];
    route.chain(product).chain(others).chain(sent_cases(s, step)).collect()
}

/// The way of tokens to three ranks and back; of a rank's experts some may be held by its neighbours.
fn sent_cases(s: &Sizes, step: &Step) -> [(Op, Vec<TensorType>); 2] {
    let (active, of, ranks, width) = (s.groups, experts(s), 3, s.width);
    let count = if s.flag { of / ranks } else { 1 };
    let first = Held { first: of / ranks - count, count, of };
    let held: Vec<Held> =
        (0..ranks).map(|q| Held { first: first.first + q * of / ranks, count, of }).collect();
    let tokens = ranks * step.tokens() as u64;
    let ExpertLoad::Realised { distinct, rows, tokens: received } =
        realised(tokens, active, &held, ranks)
    else {
        unreachable!("it happened")
    };
    let chosen = (0..tokens)
        .filter(|&t| (0..active).any(|j| held.iter().any(|h| h.place(expert(t, j, of)).is_some())));
    let sent = chosen.count() as f64 / ranks as f64;
    let one = ExpertLoad::Realised { distinct, rows, tokens: received };
    let all = ExpertLoad::Realised { distinct, rows, tokens: sent };
    let dealing = Dealing { active, ranks, first, one, all };
    let routes = TensorType::activation(Dim::Tokens, 2 * active);
    let [own, gathered] =
        [Dim::Tokens, Dim::Gathered(ranks)].map(|rows| TensorType::activation(rows, width));
    [
        (Dispatch { width, dealing: dealing.clone() }.into(), vec![own, routes]),
        (ReturnTokens { width, dealing }.into(), vec![gathered, routes]),
    ]
}

/// What an operator computes of the choices of experts.
fn choices(op: &Op) -> Option<&Choices> {
    match op {
        Op::GroupedMatMul(GroupedMatMul { choices, .. })
        | Op::ExpertBias(ExpertBias { choices, .. })
        | Op::Combine(Combine { choices, .. }) => Some(choices),
        Op::Gate(Gate { choices, .. })
        | Op::Activate(Activate { choices, .. })
        | Op::Quantize(Quantize { choices, .. }) => choices.as_ref(),
        _ => None,
    }
}

/// Routes as [`Route`] makes them: expert numbers, then weights; empty for a token that did not come.
fn routes(op: &Op, step: &Step) -> Option<Vec<Metered>> {
    let (k, of, rows) = match (choices(op), op) {
        (Some(choices), _) => (choices.active, choices.held.of, choices.tokens()),
        (_, Op::Dispatch(Dispatch { dealing, .. }))
        | (_, Op::ReturnTokens(ReturnTokens { dealing, .. })) => {
            (dealing.active, dealing.first.of, Dim::Gathered(dealing.ranks))
        }
        _ => return None,
    };
    let came = |t: u64| {
        let Some(choices) = choices(op) else { return true };
        let held = |j| choices.held.place(expert(t, j, of)).is_some();
        choices.ranks == 1 || (0..k).any(held)
    };
    let row = |t: u64| {
        let experts = (0..k).map(move |j| expert(t, j, of) as f64);
        let row = experts.chain((0..k).map(|j| 1.0 / (j + 1) as f64));
        let came = came(t);
        row.map(move |v| Metered::constant(if came { v } else { f64::NAN }))
    };
    Some((0..rows.extent(step) as u64).flat_map(row).collect())
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
    if let Some(routes) = routes(op, step) {
        let at = match op {
            Op::Gate(_) | Op::Activate(_) | Op::Quantize(_) => operands.len() - 1,
            _ => 1,
        };
        data[at] = routes;
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
    // Rows of experts that other ranks hold stay empty; every other row is written.
    let elsewhere = match (op, choices(op)) {
        (Op::Combine(_), Some(choices)) => choices.ranks > 1,
        (_, Some(choices)) => !choices.held.is_all(),
        (op, None) => matches!(op, Op::Dispatch(_)),
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
