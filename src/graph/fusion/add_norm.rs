//! A residual add with the norms that read it: the sum is written once and normed in passing; what
//! a norm makes may be quantized in passing, too.

use super::{Fusion, quantize};
use crate::graph::{Graph, NodeId};
use crate::op::Op;

pub(super) const FUSION: Fusion = Fusion { name: "add+norm", find };

fn find(graph: &Graph) -> Vec<Vec<NodeId>> {
    let adds = graph.nodes().map(|(id, _)| id).filter(|&id| is_add(graph, id));
    adds.filter_map(|add| {
        let rows = graph.node(add).ty.rows;
        let norms = graph.readers(add).into_iter().filter(|&reader| {
            matches!(graph.op(reader), Some(Op::Norm(norm)) if norm.rows == rows)
                && graph.node(reader).region == graph.node(add).region
        });
        let norms: Vec<NodeId> = norms.collect();
        if norms.is_empty() {
            return None;
        }
        let quantizes = quantize::of_rows(graph, &norms);
        Some([vec![add], norms, feeding_adds(graph, add), quantizes].concat())
    })
    .collect()
}

/// Adds whose only reader is `add`: attention plus feed-forward in a parallel block.
fn feeding_adds(graph: &Graph, add: NodeId) -> Vec<NodeId> {
    let operands = graph.operands(add).into_iter();
    operands.filter(|&o| is_add(graph, o) && graph.readers(o) == [add]).collect()
}

fn is_add(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.op(id), Some(Op::Add(_)))
}
