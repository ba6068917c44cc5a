//! Keys and values of other devices come in one exchange.

use super::Fusion;
use crate::graph::{Graph, NodeId};
use crate::op::Op;

pub(super) const FUSION: Fusion = Fusion { name: "gather", find };

fn find(graph: &Graph) -> Vec<Vec<NodeId>> {
    let is_scores = |id: &NodeId| matches!(graph.op(*id), Some(Op::Scores(_)));
    let scores = graph.nodes().map(|(id, _)| id).filter(is_scores);
    scores.map(|scores| group(graph, scores)).filter(|group| group.len() > 1).collect()
}

/// The gathers in front of an attention: of the keys, and across the softmax of the values.
fn group(graph: &Graph, scores: NodeId) -> Vec<NodeId> {
    let is_gather = |&id: &NodeId| matches!(graph.op(id), Some(Op::GatherKeys(_)));
    let weighted = graph.readers(scores).into_iter().flat_map(|softmax| graph.readers(softmax));
    let values = weighted.flat_map(|w| graph.operands(w));
    graph.operands(scores).into_iter().chain(values).filter(is_gather).collect()
}
