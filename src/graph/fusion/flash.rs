//! Fused attention: scores and probabilities never leave the chip (Dao et al., arXiv 2205.14135).

use super::{Fusion, quantize};
use crate::graph::{Graph, NodeId};
use crate::op::Op;

pub(super) const FUSION: Fusion = Fusion { name: "flash", find };

fn find(graph: &Graph) -> Vec<Vec<NodeId>> {
    let is_scores =
        |&id: &NodeId| matches!(graph.op(id), Some(Op::Scores(_) | Op::LatentScores(_)));
    let scores = graph.nodes().map(|(id, _)| id).filter(is_scores);
    scores
        .map(|scores| {
            let softmax = graph.readers(scores);
            let mut weighted: Vec<NodeId> =
                softmax.iter().flat_map(|&s| graph.readers(s)).collect();
            // Parts of several devices are put together outside.
            weighted.retain(|&w| !matches!(graph.op(w), Some(Op::MergeAttention(_))));
            let quantizes = quantize::of_blocks(graph, &weighted);
            [vec![scores], softmax, weighted, quantizes].concat()
        })
        .collect()
}
