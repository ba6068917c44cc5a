//! The reference executor: runs the same graph that the cost model prices.
//!
//! Operators run in their defining form, one after the other; fusions change nothing. With the
//! counting scalar ([`crate::op::meter::Metered`]) a run of a whole model is metered. The graphs of
//! a group of ranks run in lock-step, one node at a time over all of them; at a collective the
//! values of all ranks meet.

mod paged;
mod rank;

use crate::graph::{Graph, Kind, NodeId};
use crate::op::Pattern;
use crate::op::scalar::Scalar;
use crate::tensor::{Step, TensorSource};
pub use paged::PagedRows;
use rank::RankRun;
use std::collections::BTreeMap;

/// What a step returns.
#[derive(Debug, Clone, PartialEq)]
pub struct Values<S> {
    /// The graph's outputs, in order.
    pub outputs: Vec<Vec<S>>,
    /// Every named value that was asked to be kept, and the KV cache after the step, by layer and
    /// name of the node.
    pub kept: BTreeMap<(Option<u64>, String), Vec<S>>,
}

/// Runs one step of a graph; `keep` names the nodes whose values are returned beside the cache.
pub fn run<S: Scalar>(
    graph: &Graph,
    step: &Step,
    source: &dyn TensorSource<S>,
    keep: &dyn Fn(&str) -> bool,
) -> Values<S> {
    let mut values = run_ranks(std::slice::from_ref(graph), step, source, keep);
    values.pop().expect("invariant: one graph, one result")
}

/// Runs one step with the KV cache in a pool of blocks: appended rows are written where the block
/// tables say, and attention reads them there. Rows go in and come out in the order of tokens.
pub fn run_paged<S: Scalar>(
    graph: &Graph,
    step: &Step,
    source: &dyn TensorSource<S>,
    rows: &PagedRows,
    keep: &dyn Fn(&str) -> bool,
) -> Values<S> {
    let mut values = run_all(std::slice::from_ref(graph), step, source, Some(rows), keep);
    values.pop().expect("invariant: one graph, one result")
}

/// Runs one step of the graphs of a group of ranks; each returns its own values. The source gives
/// whole tensors, of which each rank takes its share.
pub fn run_ranks<S: Scalar>(
    graphs: &[Graph],
    step: &Step,
    source: &dyn TensorSource<S>,
    keep: &dyn Fn(&str) -> bool,
) -> Vec<Values<S>> {
    run_all(graphs, step, source, None, keep)
}

fn run_all<S: Scalar>(
    graphs: &[Graph],
    step: &Step,
    source: &dyn TensorSource<S>,
    paged: Option<&PagedRows>,
    keep: &dyn Fn(&str) -> bool,
) -> Vec<Values<S>> {
    let Some(first) = graphs.first() else { return vec![] };
    let mut ranks: Vec<RankRun<'_, S>> =
        graphs.iter().map(|graph| RankRun::new(graph, step, source, paged)).collect();
    let nodes: Vec<NodeId> = first.nodes().map(|(id, _)| id).collect();
    // Nodes of a region lie together, in order of execution.
    for body in nodes.chunk_by(|a, b| first.node(*a).region == first.node(*b).region) {
        for iteration in 0..first.region(body[0]).count {
            for &id in body {
                if meets(first, id, step) {
                    rank::meet(&mut ranks, id);
                } else {
                    ranks.iter_mut().for_each(|rank| rank.node(id, iteration));
                }
                ranks.iter_mut().for_each(|rank| rank.keep(id, iteration, keep));
            }
        }
    }
    ranks.into_iter().map(RankRun::values).collect()
}

/// Whether the ranks of the group exchange values at this node.
fn meets(graph: &Graph, id: NodeId, step: &Step) -> bool {
    let Kind::Apply(op) = &graph.node(id).kind else { return false };
    matches!(op.pattern(step), Pattern::Collective { ranks, .. } if ranks > 1)
}
