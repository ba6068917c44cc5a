//! When a value is read for the last time.

use crate::graph::{Graph, NodeId};
use std::collections::BTreeMap;

/// Values to forget behind a node, and behind all iterations of a region.
#[derive(Debug, Default)]
pub(super) struct Lifetimes {
    nodes: BTreeMap<NodeId, Vec<NodeId>>,
    /// By the first node of the region's body.
    regions: BTreeMap<NodeId, Vec<NodeId>>,
}

impl Lifetimes {
    /// Of a graph whose nodes read what `reads` says. Results of the graph, and what a region hands on,
    /// stay.
    pub(super) fn of(graph: &Graph, reads: &dyn Fn(NodeId) -> Vec<NodeId>) -> Self {
        let order: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
        let mut last: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        for &id in &order {
            last.insert(id, id);
            for read in reads(id) {
                last.insert(read, id);
            }
        }
        let handed = |id: NodeId| graph.region(id).carry.is_some_and(|c| c.back == id);
        let first_of = |id: NodeId| {
            let region = graph.node(id).region;
            let body = order.iter().find(|n| graph.node(**n).region == region);
            *body.expect("invariant: a node's region has a node")
        };
        let mut lifetimes = Self::default();
        for (value, reader) in last {
            if graph.outputs().contains(&value) {
                continue;
            }
            if graph.node(value).region != graph.node(reader).region {
                lifetimes.regions.entry(first_of(reader)).or_default().push(value);
            } else if handed(value) {
                lifetimes.regions.entry(first_of(value)).or_default().push(value);
            } else {
                lifetimes.nodes.entry(reader).or_default().push(value);
            }
        }
        lifetimes
    }

    pub(super) fn behind_node(&self, id: NodeId) -> &[NodeId] {
        self.nodes.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn behind_region(&self, first: NodeId) -> &[NodeId] {
        self.regions.get(&first).map_or(&[], Vec::as_slice)
    }
}
