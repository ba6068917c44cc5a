//! Which tokens of a layer with experts rounding decides the experts of.

use super::super::random::Random;
use super::LayerCase;
use super::execute::{Right, right, rounded_values};
use crate::exec::Fast;
use crate::graph::NodeId;
use crate::op::Op;
use crate::validate::Inputs;
use std::collections::{BTreeMap, BTreeSet};

/// Times that the router's logits are tilted.
const TILTS: u64 = 16;
/// By how many times what the emulations of the logits are off.
const TIMES: f64 = 4.0;

/// Tokens whose experts change when the router's logits are off by four times what those of the emulations
/// are, in any of 16 ways.
pub(super) fn open(case: &LayerCase, inputs: &Inputs) -> Vec<usize> {
    let graph = &case.layer.graph;
    let route = graph.nodes().find(|(id, _)| matches!(graph.op(*id), Some(Op::Route(_))));
    let Some((route, _)) = route.filter(|_| !inputs.0.is_empty()) else { return vec![] };
    let (router, step) = (graph.operands(route)[0], case.keys.step());
    let values = right(graph, &step, inputs);
    let exact = Right::new((graph, &step), inputs, &values);
    let off = error(case, inputs, &graph.node(router).name, exact.of(router));
    let mut random = Random::new(0);
    let mut changed = BTreeSet::new();
    for _ in 0..TILTS {
        let mut tilt = || if random.below(2) == 0 { TIMES * off } else { -TIMES * off };
        let tilted: Vec<f64> = exact.of(router).iter().map(|l| l + tilt()).collect();
        changed.extend(differing(&exact, route, &tilted));
    }
    changed.into_iter().collect()
}

/// The largest error of a value in the emulations.
fn error(case: &LayerCase, inputs: &Inputs, name: &str, exact: &[f64]) -> f64 {
    let graphs = [(&case.layer.graph, Fast::default()), (&case.eager, Fast::naive())];
    let off = |(graph, fast)| {
        let values: BTreeMap<String, Vec<f64>> =
            rounded_values((graph, &case.keys.step()), inputs, &case.kernel(fast), name);
        let gap = |values: &Vec<f64>| {
            values.iter().zip(exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        values.get(name).map_or(0.0, gap)
    };
    graphs.map(off).into_iter().fold(0.0, f64::max)
}

/// Tokens that other logits give other experts.
fn differing(exact: &Right<'_>, route: NodeId, logits: &[f64]) -> Vec<usize> {
    let Some(op @ Op::Route(of)) = exact.graph.op(route) else { return vec![] };
    let operands = exact.graph.operands(route);
    let rest = operands[1..].iter().map(|&o| (exact.of(o), exact.width(o)));
    let operands: Vec<_> = [(logits, exact.width(operands[0]))].into_iter().chain(rest).collect();
    let routes = exact.apply(route, op, &operands);
    let chosen = |row: &[f64]| {
        let mut experts = row[..of.active as usize].to_vec();
        experts.sort_by(f64::total_cmp);
        experts
    };
    let width = exact.width(route);
    let rows = routes.chunks_exact(width).zip(exact.of(route).chunks_exact(width));
    rows.enumerate().filter(|(_, (a, b))| chosen(a) != chosen(b)).map(|(row, _)| row).collect()
}
