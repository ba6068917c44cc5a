//! Projections that share their input as one wider product: the input is read once.

use super::Fusion;
use crate::graph::{Graph, NodeId};
use crate::op::Op;
use crate::tensor::{Role, WeightKind};

pub(super) const FUSION: Fusion = Fusion { name: "qkv", find };

fn find(graph: &Graph) -> Vec<Vec<NodeId>> {
    graph
        .nodes()
        .map(|(value, _)| {
            let readers = graph.readers(value).into_iter();
            let free = readers.filter(|&r| {
                matches!(graph.op(r), Some(Op::MatMul(_)))
                    && graph.operands(r).first() == Some(&value)
                    && is_projection(graph, r)
                    && graph.node(r).fused.is_none()
            });
            free.collect()
        })
        .collect()
}

/// Not the router of a mixture of experts, whose matrix may have another format.
fn is_projection(graph: &Graph, product: NodeId) -> bool {
    let projection = Role::Weight(WeightKind::Projection);
    graph.operands(product).iter().any(|&o| graph.node(o).ty.role == projection)
}
