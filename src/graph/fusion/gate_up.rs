//! The first feed-forward projections with their activation: the inner tensor is written once.

use super::{Fusion, quantize};
use crate::graph::{Graph, NodeId};
use crate::op::Op;
use crate::tensor::Dim;

pub(super) const GATED: Fusion = Fusion {
    name: "gate.up+activation",
    find: |graph| find(graph, |op| matches!(op, Op::Gate(_))),
};

pub(super) const PLAIN: Fusion =
    Fusion { name: "up+activation", find: |graph| find(graph, |op| matches!(op, Op::Activate(_))) };

/// The product of the last projection of experts with their biases (A33).
pub(super) const BIASED: Fusion = Fusion { name: "down+bias", find: biased };

fn find(graph: &Graph, is_activation: fn(&Op) -> bool) -> Vec<Vec<NodeId>> {
    let nodes = graph.nodes().map(|(id, _)| id);
    let activations = nodes.filter(|&id| graph.op(id).is_some_and(is_activation));
    activations
        .filter_map(|activation| {
            let mut operands = graph.operands(activation);
            operands.retain(|&o| !is_routes(graph, o));
            let parts: Vec<[Option<NodeId>; 2]> =
                operands.iter().map(|&o| product(graph, o, activation)).collect::<Option<_>>()?;
            let products = parts.iter().filter_map(|p| p[0]);
            let biases = parts.iter().filter_map(|p| p[1]);
            let quantizes = quantize::of_blocks(graph, &[activation]);
            Some(products.chain(biases).chain([activation]).chain(quantizes).collect())
        })
        .collect()
}

/// A product that `reader` alone reads, and the addition of biases between them.
fn product(graph: &Graph, value: NodeId, reader: NodeId) -> Option<[Option<NodeId>; 2]> {
    if graph.readers(value) != [reader] {
        return None;
    }
    match graph.op(value)? {
        Op::MatMul(product) if product.rows == Dim::Tokens => Some([Some(value), None]),
        Op::GroupedMatMul(_) => Some([Some(value), None]),
        Op::ExpertBias(_) => {
            let from = graph.operands(value)[0];
            (graph.readers(from) == [value]).then_some([Some(from), Some(value)])
        }
        _ => None,
    }
}

/// Whether a value tells which rows of choices are computed.
fn is_routes(graph: &Graph, value: NodeId) -> bool {
    matches!(graph.op(value), Some(Op::Route(_) | Op::Dispatch(_)))
}

fn biased(graph: &Graph) -> Vec<Vec<NodeId>> {
    let nodes = graph.nodes().map(|(id, _)| id);
    let biases = nodes.filter(|&id| matches!(graph.op(id), Some(Op::ExpertBias(_))));
    biases.map(|bias| vec![graph.operands(bias)[0], bias]).collect()
}
