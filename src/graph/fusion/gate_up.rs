//! The first feed-forward projections with their activation: the inner tensor is written once.

use super::Fusion;
use crate::graph::{Graph, NodeId};
use crate::op::Op;
use crate::tensor::Dim;

pub(super) const GATED: Fusion = Fusion {
    name: "gate.up+activation",
    find: |graph| find(graph, |op| matches!(op, Op::Gate(_))),
};

pub(super) const PLAIN: Fusion =
    Fusion { name: "up+activation", find: |graph| find(graph, |op| matches!(op, Op::Activate(_))) };

fn find(graph: &Graph, is_activation: fn(&Op) -> bool) -> Vec<Vec<NodeId>> {
    let nodes = graph.nodes().map(|(id, _)| id);
    let activations = nodes.filter(|&id| graph.op(id).is_some_and(is_activation));
    activations
        .filter_map(|activation| {
            let operands = graph.operands(activation);
            let only_here = |&o: &NodeId| {
                matches!(graph.op(o), Some(Op::MatMul(product)) if product.rows == Dim::Tokens)
                    && graph.readers(o) == [activation]
            };
            operands.iter().all(only_here).then(|| [operands, vec![activation]].concat())
        })
        .collect()
}
