//! What rewrites of a graph have in common: a walk over its nodes, region by region, that makes another.

use super::{Builder, Graph, GraphError, Kind, NodeId, Source};
use crate::op::Op;
use std::collections::BTreeMap;

/// A graph in the making, and what became of the nodes of the one it comes from.
pub(super) struct Copy<'a> {
    pub(super) graph: &'a Graph,
    pub(super) builder: Builder,
    pub(super) made: BTreeMap<NodeId, NodeId>,
}

/// What a rewrite makes of sources and operators. Regions and what they carry stay as they are.
pub(super) trait Rewrite<'a> {
    /// Why it cannot.
    type Error: From<GraphError>;

    /// The graph in the making.
    fn copy(&mut self) -> &mut Copy<'a>;

    /// What becomes of a source.
    fn source(&mut self, id: NodeId, source: Source) -> NodeId {
        self.copy().source(id, source)
    }

    /// What becomes of an operator.
    fn apply(&mut self, id: NodeId, op: &Op) -> Result<NodeId, Self::Error>;
}

impl<'a> Copy<'a> {
    pub(super) fn new(graph: &'a Graph) -> Self {
        Self { graph, builder: Builder::new(), made: BTreeMap::new() }
    }

    /// A source as it is.
    pub(super) fn source(&mut self, id: NodeId, source: Source) -> NodeId {
        let node = self.graph.node(id);
        self.builder.source(node.name.clone(), source, node.ty)
    }

    /// A source or an operator as it is; what a region carries is made where it is entered.
    pub(super) fn node(&mut self, id: NodeId) -> Result<(), GraphError> {
        let node = self.graph.node(id);
        let made = match &node.kind {
            Kind::Source(source) => self.source(id, *source),
            Kind::Carry => return Ok(()),
            Kind::Apply(op) => {
                let operands = self.operands(id);
                self.builder.apply(node.name.clone(), op.clone(), &operands)?
            }
        };
        self.made.insert(id, made);
        Ok(())
    }

    /// What became of a node's operands.
    pub(super) fn operands(&self, id: NodeId) -> Vec<NodeId> {
        self.graph.operands(id).iter().map(|o| self.made[o]).collect()
    }

    /// Opens the region of a carried value.
    pub(super) fn enter(&mut self, id: NodeId, from: NodeId) -> NodeId {
        let region = self.graph.region(id);
        self.builder.first_layer(region.first_layer);
        self.builder.enter(region.name.clone(), region.count, region.layers, from)
    }

    /// The graph, with the outputs and fusions of the one it comes from.
    pub(super) fn finish(self) -> Graph {
        let outputs: Vec<NodeId> = self.graph.outputs().iter().map(|o| self.made[o]).collect();
        self.builder.finish(&outputs, &self.graph.fusions)
    }
}

/// Walks the graph of a rewrite that has made nothing so far.
pub(super) fn rewrite<'a, R: Rewrite<'a>>(mut rewrite: R) -> Result<Graph, R::Error> {
    let graph = rewrite.copy().graph;
    for body in graph.bodies() {
        for &id in &body {
            rewrite.copy().builder.layer(graph.node(id).layer);
            let made = match &graph.node(id).kind {
                Kind::Source(source) => rewrite.source(id, *source),
                Kind::Carry => {
                    let from = rewrite.copy().operands(id)[0];
                    rewrite.copy().enter(id, from)
                }
                Kind::Apply(op) => rewrite.apply(id, op)?,
            };
            rewrite.copy().made.insert(id, made);
        }
        if let Some(carry) = graph.region(body[0]).carry {
            let copy = rewrite.copy();
            let (entry, back) = (copy.made[&carry.entry], copy.made[&carry.back]);
            copy.builder.leave(entry, back)?;
        }
    }
    let empty = Copy::new(graph);
    Ok(std::mem::replace(rewrite.copy(), empty).finish())
}

impl Graph {
    /// The nodes of each region, in order of execution.
    pub(super) fn bodies(&self) -> Vec<Vec<NodeId>> {
        let nodes: Vec<NodeId> = self.nodes().map(|(id, _)| id).collect();
        let alike = |a: &NodeId, b: &NodeId| self.node(*a).region == self.node(*b).region;
        nodes.chunk_by(alike).map(<[NodeId]>::to_vec).collect()
    }
}
