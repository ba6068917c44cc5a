//! The typed, acyclic graph of a model's step.
//!
//! Only [`Builder`] adds nodes and each wiring infers, so a graph that exists is well-typed. A
//! repeated layer is a [`Region`] with a count, entered through a carried value, not N copies.
//! Which nodes run as one kernel, and so which values stay on chip, is marked by the fusions in
//! [`fusion`]; a fusion adds and removes no operator. `petgraph` is private to this module.

mod builder;
mod export;
pub mod fusion;
mod kernel;
mod layer;
mod node;
mod quantize;
mod rewrite;
pub mod shard;
mod stretch;

pub use builder::{Builder, GraphError};
pub use kernel::Kernel;
pub use layer::Layer;
pub use node::{Carry, Kind, Node, NodeId, Region, RegionId, Share, Source};
pub use quantize::Scales;

use petgraph::Direction;
use petgraph::graph::{DiGraph, EdgeIndex};
use petgraph::visit::EdgeRef;

/// A model's step as operators over typed values.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Edges point from a value to its reader and carry the operand position.
    dag: DiGraph<Node, usize>,
    regions: Vec<Region>,
    outputs: Vec<NodeId>,
    /// The fusions that were applied, so that a rewrite can apply them again.
    fusions: Vec<&'static fusion::Fusion>,
}

impl Graph {
    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.dag[id.0]
    }

    /// All nodes in construction order, which is an order of execution.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.dag.node_indices().map(|i| (NodeId(i), &self.dag[i]))
    }

    /// The regions in order of execution.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The region that a node belongs to.
    pub fn region(&self, id: NodeId) -> &Region {
        &self.regions[self.node(id).region.0]
    }

    /// Layers of the stack: of all repeated regions that hand on another value than they were entered with.
    pub fn layers(&self) -> u64 {
        self.regions.iter().filter(|r| r.is_stack()).map(|r| r.count * r.layers).sum()
    }

    /// What the step returns.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// The operands of a node, in order.
    pub fn operands(&self, id: NodeId) -> Vec<NodeId> {
        let mut edges: Vec<(usize, NodeId)> = self
            .dag
            .edges_directed(id.0, Direction::Incoming)
            .map(|e| (*e.weight(), NodeId(e.source())))
            .collect();
        edges.sort_unstable();
        edges.into_iter().map(|(_, source)| source).collect()
    }

    /// The nodes that read a value: directly, or in the next iteration of its region through the
    /// carried value, or behind its region.
    pub fn readers(&self, id: NodeId) -> Vec<NodeId> {
        let mut readers: Vec<NodeId> = self
            .dag
            .edges_directed(id.0, Direction::Outgoing)
            .map(|e| NodeId(e.target()))
            .flat_map(|reader| match self.node(reader).kind {
                Kind::Carry => self.readers(reader),
                _ => vec![reader],
            })
            .collect();
        let carries = self.regions.iter().filter_map(|r| r.carry);
        // A region that hands on what it was entered with reads nothing by doing so.
        for carry in carries.filter(|c| c.back == id && c.entry != id) {
            readers.extend(self.readers(carry.entry));
        }
        readers.sort_unstable();
        readers.dedup();
        readers
    }

    /// Whether `reader` reads `value` of the iteration before, through the region's carried value.
    pub fn reads_across_iterations(&self, value: NodeId, reader: NodeId) -> bool {
        self.regions.iter().filter_map(|r| r.carry).any(|carry| {
            carry.back == value && self.dag.find_edge(carry.entry.0, reader.0).is_some()
        })
    }

    /// The operator of a node; `None` for sources and carried values.
    pub fn op(&self, id: NodeId) -> Option<&crate::op::Op> {
        match &self.node(id).kind {
            Kind::Apply(op) => Some(op),
            Kind::Source(_) | Kind::Carry => None,
        }
    }

    /// All edges as (value, reader, operand position), in construction order.
    fn edges(&self) -> impl Iterator<Item = (NodeId, NodeId, usize)> + '_ {
        self.dag.edge_indices().filter_map(|e: EdgeIndex| {
            let (from, to) = self.dag.edge_endpoints(e)?;
            Some((NodeId(from), NodeId(to), self.dag[e]))
        })
    }
}
