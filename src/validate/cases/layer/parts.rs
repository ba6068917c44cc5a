//! The operators of a layer as cases of their own: their known bugs are the layer's.

use super::LayerKeys;
use super::execute::{Patches, Right};
use crate::graph::{Graph, NodeId};
use crate::op::{Activation, Op, Pairing, Route, ScoreBias, Scoring};
use crate::tensor::Mask;
use crate::validate::cases::activation::{ActivationCase, Function};
use crate::validate::cases::attention::Attention;
use crate::validate::cases::cache_format::CacheFormat;
use crate::validate::cases::norm::{NormCase, Statistics};
use crate::validate::cases::rope::{Pairs, RopeCase};
use crate::validate::cases::routing::{RoutingCase, Scores};
use crate::validate::{Array, Case, Inputs, Layout, Outputs, Precision};

/// An operator of the layer, or several that have their bugs together.
pub(super) struct Part {
    /// Which, where others are alike.
    pub(super) form: Option<String>,
    sites: Vec<Site>,
}

/// An operator's place in the layer.
struct Site {
    node: NodeId,
    case: Box<dyn Case>,
    /// Names of the case's arrays, with the nodes whose rows they are, side by side.
    inputs: Vec<(&'static str, Vec<NodeId>)>,
}

impl Part {
    /// The case of the first of its operators.
    pub(super) fn case(&self) -> &dyn Case {
        self.sites[0].case.as_ref()
    }

    /// What each of its operators computes, for a person.
    pub(super) fn conventions(&self) -> impl Iterator<Item = (NodeId, String)> {
        self.sites.iter().map(|site| (site.node, site.case.conventions().join(" ")))
    }

    /// What its operators give with their bug of that number.
    pub(super) fn wrong(&self, bug: usize, right: &Right<'_>) -> Patches {
        let site = |site: &Site| {
            let mutant = &site.case.mutants()[bug];
            let outputs = (mutant.run)(&site.arrays(right), Precision::Exact);
            (site.node, joined(right.graph.op(site.node), outputs))
        };
        self.sites.iter().map(site).collect()
    }
}

/// The outputs of an operator's case as the node has them.
fn joined(op: Option<&Op>, mut outputs: Outputs) -> Vec<f64> {
    let (Some(Op::Route(route)), [experts, weights]) = (op, outputs.as_slice()) else {
        return outputs.swap_remove(0);
    };
    let (k, count) = (route.active as usize, route.experts as f64);
    let rows = experts.chunks_exact(k).zip(weights.chunks_exact(k));
    // A number beyond the last expert reads the first.
    rows.flat_map(|(e, w)| e.iter().map(|e| e % count).chain(w.iter().copied()).collect::<Vec<_>>())
        .collect()
}

impl Site {
    fn arrays(&self, right: &Right<'_>) -> Inputs {
        let array = |(name, nodes): &(&str, Vec<NodeId>)| {
            let values = match nodes.as_slice() {
                [one] => right.of(*one).to_vec(),
                several => beside(right, several),
            };
            let axes = [("element", values.len() as u64)];
            let layout = Layout::new(name, "", axes, self.case.outputs()[0].layout.stored);
            Array { layout, values }
        };
        Inputs(self.inputs.iter().map(array).collect())
    }
}

fn beside(right: &Right<'_>, nodes: &[NodeId]) -> Vec<f64> {
    let rows = right.of(nodes[0]).len() / right.width(nodes[0]);
    let row = |id: NodeId, i: usize| &right.of(id)[i * right.width(id)..][..right.width(id)];
    (0..rows).flat_map(|i| nodes.iter().flat_map(move |&id| row(id, i)).copied()).collect()
}

/// The operators of a layer that there are cases of; rotations together, then each alone.
pub(super) fn parts(graph: &Graph, keys: &LayerKeys) -> Vec<Part> {
    let of = |make: &dyn Fn(NodeId, &Op) -> Option<Site>| -> Vec<Site> {
        let sites = graph.nodes().map(|(id, _)| graph.op(id).and_then(|op| make(id, op)));
        sites.flatten().collect()
    };
    let ropes = |alone: bool| {
        let sites = of(&|id, op| rope(graph, keys, id, op));
        if alone {
            if sites.len() > 1 { apart(graph, sites) } else { vec![] }
        } else {
            joint(sites)
        }
    };
    let mut parts = ropes(false);
    parts.extend(ropes(true));
    for sites in [
        of(&|id, op| attention(graph, keys, id, op)),
        of(&|id, op| activation(graph, keys, id, op)),
        of(&|id, op| routing(graph, id, op)),
    ] {
        let few = sites.len() < 2;
        parts.extend(if few { joint(sites) } else { apart(graph, sites) });
    }
    parts.extend(apart(graph, of(&|id, op| norm(graph, keys, id, op))));
    parts
}

fn joint(sites: Vec<Site>) -> Vec<Part> {
    if sites.is_empty() { vec![] } else { vec![Part { form: None, sites }] }
}

fn apart(graph: &Graph, sites: Vec<Site>) -> Vec<Part> {
    let named = |site: Site| {
        let form = Some(graph.node(site.node).name.clone());
        Part { form, sites: vec![site] }
    };
    sites.into_iter().map(named).collect()
}

fn norm(graph: &Graph, keys: &LayerKeys, node: NodeId, op: &Op) -> Option<Site> {
    let Op::Norm(op) = op else { return None };
    let case = NormCase {
        kind: match op.kind {
            crate::op::NormKind::Rms => Statistics::Rms,
            crate::op::NormKind::Layer => Statistics::Layer,
        },
        tokens: keys.tokens(),
        width: op.width,
        groups: op.groups,
        epsilon: op.epsilon,
        unit_offset: op.unit_offset,
        bias: op.bias,
        dtype: keys.dtype,
        seed: 0,
    };
    let names = ["x", "w", "b"].into_iter().zip(graph.operands(node).into_iter().map(|o| vec![o]));
    let own = op.own_gain && op.groups > 1;
    (!own).then(|| Site { node, case: Box::new(case), inputs: names.collect() })
}

fn rope(graph: &Graph, keys: &LayerKeys, node: NodeId, op: &Op) -> Option<Site> {
    let Op::Rope(op) = op else { return None };
    let case = RopeCase {
        heads: op.heads,
        head_dim: op.head_dim,
        rotary_dim: op.rotary_dim,
        batch: keys.batch,
        seq: keys.seq,
        past: keys.cached,
        theta: op.theta,
        pairing: match op.pairing {
            Pairing::Half => Pairs::Half,
            Pairing::Interleaved => Pairs::Interleaved,
        },
        scaling: op.scaling.clone(),
        dtype: keys.dtype,
        seed: 0,
    };
    let inputs = vec![("x", graph.operands(node))];
    Some(Site { node, case: Box::new(case), inputs })
}

fn activation(graph: &Graph, keys: &LayerKeys, node: NodeId, op: &Op) -> Option<Site> {
    let (rows, width, function, plain) = match op {
        Op::Gate(op) if op.limit.is_none() => (op.rows, op.width, op.function, false),
        Op::Activate(op) => (op.rows, op.width, op.function, true),
        _ => return None,
    };
    let function = match function {
        Activation::Silu => Function::Silu,
        Activation::GeluSigmoid => Function::GeluSigmoid,
        Activation::GeluTanh => Function::GeluTanh,
        Activation::GeluErf => Function::GeluErf,
        Activation::Relu => Function::Relu,
        Activation::SoftCap(_) | Activation::Scale(_) => return None,
    };
    let tokens = rows.extent(&keys.step()) as u64;
    let case = ActivationCase { tokens, width, function, plain, dtype: keys.dtype, seed: 0 };
    let inputs = vec![("x", graph.operands(node))];
    Some(Site { node, case: Box::new(case), inputs })
}

fn routing(graph: &Graph, node: NodeId, op: &Op) -> Option<Site> {
    let Op::Route(Route { experts, active, scoring, normalise, groups, scaling, correction }) = *op
    else {
        return None;
    };
    let case = RoutingCase {
        // Rows are as many as there are logits.
        tokens: 1,
        experts,
        active,
        scoring: match scoring {
            Scoring::Softmax => Scores::Softmax,
            Scoring::TopKSoftmax => Scores::TopKSoftmax,
            Scoring::Sigmoid => Scores::Sigmoid,
        },
        unnormalised: !normalise,
        scaling,
        groups: groups.map(|g| g.count),
        active_groups: groups.map(|g| g.active),
        group_best: groups.map_or(1, |g| g.best),
        correction,
        seed: 0,
    };
    let operands = graph.operands(node).into_iter().map(|o| vec![o]);
    let inputs = ["logits", "correction"].into_iter().zip(operands).collect();
    Some(Site { node, case: Box::new(case), inputs })
}

fn attention(graph: &Graph, keys: &LayerKeys, node: NodeId, op: &Op) -> Option<Site> {
    let Op::WeightedSum(sum) = op else { return None };
    let [weights, values] = graph.operands(node)[..] else { return None };
    let Some(Op::Softmax(softmax)) = graph.op(weights) else { return None };
    let of_softmax = graph.operands(weights);
    let Some(Op::Scores(scores)) = graph.op(of_softmax[0]) else { return None };
    if !matches!(scores.bias, None | Some(ScoreBias::Alibi)) {
        return None;
    }
    let case = Attention {
        heads: sum.heads,
        kv_heads: sum.kv_heads,
        head_dim: sum.head_dim,
        value_dim: None,
        batch: keys.batch,
        seq: keys.seq,
        kv_seq: Some(match sum.mask {
            Mask::Cross => keys.source.unwrap_or(0),
            Mask::Full => keys.seq,
            _ => keys.cached + keys.seq,
        }),
        window: sum.mask.window(),
        non_causal: matches!(sum.mask, Mask::Cross | Mask::Full),
        block: None,
        kv: CacheFormat::default(),
        softcap: scores.softcap,
        scale: Some(scores.scale),
        alibi: scores.bias.is_some(),
        sinks: softmax.sinks,
        dtype: keys.dtype,
        seed: 0,
    };
    let [q, k] = graph.operands(of_softmax[0])[..] else { return None };
    let mut inputs = vec![("q", vec![q]), ("k", vec![k]), ("v", vec![values])];
    inputs.extend(of_softmax.get(1).map(|&sinks| ("sinks", vec![sinks])));
    Some(Site { node, case: Box::new(case), inputs })
}
