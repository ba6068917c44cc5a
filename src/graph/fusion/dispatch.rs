//! Tokens and their routes go to the ranks of their experts in one exchange.

use super::Fusion;
use crate::graph::{Graph, NodeId};
use crate::op::Op;

pub(super) const FUSION: Fusion = Fusion { name: "dispatch", find };

fn find(graph: &Graph) -> Vec<Vec<NodeId>> {
    let is_dispatch = |id: NodeId| matches!(graph.op(id), Some(Op::Dispatch(_)));
    let dispatches: Vec<NodeId> =
        graph.nodes().map(|(id, _)| id).filter(|&id| is_dispatch(id)).collect();
    let of_same = |routes: NodeId| {
        dispatches.iter().copied().filter(move |&id| graph.operands(id)[1] == routes).collect()
    };
    let mut routes: Vec<NodeId> = dispatches.iter().map(|&id| graph.operands(id)[1]).collect();
    routes.dedup();
    routes.into_iter().map(of_same).collect()
}
