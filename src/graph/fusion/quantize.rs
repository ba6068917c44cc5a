//! Quantization in passing: the kernel that makes a value finds its scales and stores it quantized.
//!
//! A kernel that has a whole row on chip (a norm) can find a scale per token, one that has a tile of
//! columns (a product with its activation, attention) only scales of blocks. vLLM fuses alike: norms
//! with static, per-token and per-block quantization; activations and attention with static and block
//! scales only (<https://docs.vllm.ai/en/stable/design/fusions/>).

use super::Fusion;
use crate::graph::{Graph, NodeId};
use crate::op::Op;

/// A norm outside the kernels of residual adds.
pub(super) const NORM: Fusion = Fusion { name: "norm", find: norms };

fn norms(graph: &Graph) -> Vec<Vec<NodeId>> {
    let norms = graph.nodes().map(|(id, _)| id);
    norms
        .filter(|&id| matches!(graph.op(id), Some(Op::Norm(_))))
        .map(|id| [vec![id], of_rows(graph, &[id])].concat())
        .collect()
}

/// The quantizations that read one of the values, with scales of any kind.
pub(super) fn of_rows(graph: &Graph, values: &[NodeId]) -> Vec<NodeId> {
    readers(graph, values, false)
}

/// The quantizations that read one of the values, with scales of blocks.
pub(super) fn of_blocks(graph: &Graph, values: &[NodeId]) -> Vec<NodeId> {
    readers(graph, values, true)
}

fn readers(graph: &Graph, values: &[NodeId], blocks_only: bool) -> Vec<NodeId> {
    let readers = values.iter().flat_map(|&v| {
        let same = move |r: &NodeId| graph.node(*r).region == graph.node(v).region;
        graph.readers(v).into_iter().filter(same)
    });
    let quantizes = readers.filter(|&r| match graph.op(r) {
        Some(Op::Quantize(op)) => op.is_blockwise() || !blocks_only,
        _ => false,
    });
    quantizes.collect()
}
