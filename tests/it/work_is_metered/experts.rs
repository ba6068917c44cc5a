//! The operators of a mixture of experts, and the routes that they read.

use super::operators::Sizes;
use cosim::op::meter::Metered;
use cosim::op::scalar::Scalar;
use cosim::op::*;
use cosim::tensor::{Dim, Step, TensorType, WeightKind};
use std::collections::BTreeSet;

/// The expert that token `t` has as its `j`-th, of `experts`.
pub(super) fn expert(t: u64, j: u64, experts: u64) -> u64 {
    (t * 3 + j) % experts
}

/// Experts of the cases of a mixture, held in thirds where they are not held together.
pub(super) const fn experts(s: &Sizes) -> u64 {
    3 * (s.groups + s.kv_heads)
}

/// The load that tokens `0..tokens` of [`routes`] put on the experts `held`; of `ranks` alike a mean.
pub(super) fn realised(tokens: u64, active: u64, held: &[Held], ranks: u64) -> ExpertLoad {
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
pub(super) fn expert_cases(s: &Sizes, step: &Step) -> Vec<(Op, Vec<TensorType>)> {
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
pub(super) fn sent_cases(s: &Sizes, step: &Step) -> [(Op, Vec<TensorType>); 2] {
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
pub(super) fn choices(op: &Op) -> Option<&Choices> {
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
pub(super) fn routes(op: &Op, step: &Step) -> Option<Vec<Metered>> {
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
