//! Rotation of q and k with the append of k and v to the cache, in one pass over q, k and v.

use super::Fusion;
use crate::graph::{Graph, NodeId};
use crate::op::Op;

pub(super) const ROTARY: Fusion =
    Fusion { name: "rope+kv_append", find: |graph| find(graph, true) };

pub(super) const PLAIN: Fusion = Fusion { name: "kv_append", find: |graph| find(graph, false) };

fn find(graph: &Graph, rotary: bool) -> Vec<Vec<NodeId>> {
    let is_rope = |id: &NodeId| matches!(graph.op(*id), Some(Op::Rope(_)));
    let nodes = graph.nodes().map(|(id, _)| id);
    nodes
        .filter(|&id| matches!(graph.op(id), Some(Op::Scores(_) | Op::LatentScores(_))))
        .map(|scores| group(graph, scores))
        .filter(|group| group.iter().any(is_rope) == rotary)
        .collect()
}

/// From the scores back to the rotations and appends, and across the softmax to the values' append.
fn group(graph: &Graph, scores: NodeId) -> Vec<NodeId> {
    let is_append = |&id: &NodeId| matches!(graph.op(id), Some(Op::KvAppend(_)));
    let is_rope = |&id: &NodeId| matches!(graph.op(id), Some(Op::Rope(_)));
    let weighted = graph.readers(scores).into_iter().flat_map(|softmax| graph.readers(softmax));
    // Keys of other devices are gathered behind the append.
    let appended = |id: NodeId| match graph.op(id) {
        Some(Op::GatherKeys(_)) => graph.operands(id)[0],
        _ => id,
    };
    let values = weighted.flat_map(|w| graph.operands(w)).map(appended).filter(is_append);
    let keys = graph.operands(scores).into_iter().map(appended).filter(is_append);
    let mut group: Vec<NodeId> = keys.chain(values).collect();
    let rotated: Vec<NodeId> = group
        .iter()
        .flat_map(|&append| graph.operands(append))
        .chain(graph.operands(scores))
        .filter(is_rope)
        .collect();
    group.extend(rotated);
    group
}
