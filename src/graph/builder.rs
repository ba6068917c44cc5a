//! The only way to make a graph: wiring infers types, regions close over what they carry.

use super::node::{Carry, Kind, Node, NodeId, Region, RegionId, Share, Source};
use super::{Graph, fusion};
use crate::op::{InferError, Op};
use crate::tensor::TensorType;
use petgraph::graph::DiGraph;

/// A wiring that does not type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// An operand does not fit its operator.
    #[error("node `{node}`: {source}")]
    Infer {
        /// The node that was to be added.
        node: String,
        /// What does not fit.
        source: InferError,
    },
    /// The body's result is not of the type that it was entered with.
    #[error("region `{region}` is entered with {entry} and hands on {back}")]
    Carry {
        /// The region.
        region: String,
        /// Type at entry.
        entry: Box<TensorType>,
        /// Type of the result.
        back: Box<TensorType>,
    },
}

/// Adds nodes to a graph.
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
    layer: u64,
    /// Number of the next region's first layer, where it does not follow from the regions before.
    first_layer: Option<u64>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty graph, outside any repeated region.
    pub fn new() -> Self {
        let graph =
            Graph { dag: DiGraph::new(), regions: vec![], outputs: vec![], fusions: vec![] };
        let mut builder = Self { graph, layer: 0, first_layer: None };
        builder.open("model".to_owned(), 1, 1, 0);
        builder
    }

    /// A given value.
    pub fn source(&mut self, name: impl Into<String>, source: Source, ty: TensorType) -> NodeId {
        self.push(name.into(), Kind::Source(source), ty)
    }

    /// The piece of a given value that one rank of a group holds; `ty` is the piece's.
    pub fn share(
        &mut self,
        name: impl Into<String>,
        source: Source,
        ty: TensorType,
        share: Share,
    ) -> NodeId {
        let id = self.push(name.into(), Kind::Source(source), ty);
        self.graph.dag[id.0].share = Some(share);
        id
    }

    /// An operator applied to its operands.
    ///
    /// # Errors
    /// An operand whose type does not fit.
    pub fn apply(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Op>,
        operands: &[NodeId],
    ) -> Result<NodeId, GraphError> {
        let (name, op) = (name.into(), op.into());
        let types: Vec<TensorType> = operands.iter().map(|&o| self.graph.node(o).ty).collect();
        let ty =
            op.infer(&types).map_err(|source| GraphError::Infer { node: name.clone(), source })?;
        let id = self.push(name, Kind::Apply(op), ty);
        for (position, operand) in operands.iter().enumerate() {
            self.graph.dag.add_edge(operand.0, id.0, position);
        }
        Ok(id)
    }

    /// Opens a region of `count` iterations with `layers` layers each; returns `entry` as the body
    /// sees it.
    pub fn enter(
        &mut self,
        name: impl Into<String>,
        count: u64,
        layers: u64,
        entry: NodeId,
    ) -> NodeId {
        let first_layer = self.graph.regions.iter().filter(|r| r.carry.is_some());
        let first_layer: u64 = first_layer.map(|r| r.count * r.layers).sum();
        let first_layer = self.first_layer.take().unwrap_or(first_layer);
        self.open(name.into(), count, layers, first_layer);
        let ty = self.graph.node(entry).ty;
        let inside = self.push("x".to_owned(), Kind::Carry, ty);
        self.graph.dag.add_edge(entry.0, inside.0, 0);
        inside
    }

    /// Numbers the first layer of the next region, where it is not the one behind those before it.
    pub fn first_layer(&mut self, layer: u64) {
        self.first_layer = Some(layer);
    }

    /// Type of a value.
    pub fn ty(&self, id: NodeId) -> TensorType {
        self.graph.node(id).ty
    }

    /// Which layer of the open region the next nodes belong to.
    pub fn layer(&mut self, layer: u64) {
        self.layer = layer;
    }

    /// Closes the region with the value that it hands on; what follows lies outside.
    ///
    /// # Errors
    /// A result of another type than the entry.
    pub fn leave(&mut self, entry: NodeId, back: NodeId) -> Result<NodeId, GraphError> {
        let (from, to) = (self.graph.node(entry).ty, self.graph.node(back).ty);
        let region = self.graph.regions.last_mut().expect("invariant: a region is open");
        if (from.rows, from.width) != (to.rows, to.width) {
            let region = region.name.clone();
            let (entry, back) = (Box::new(from), Box::new(to));
            return Err(GraphError::Carry { region, entry, back });
        }
        region.carry = Some(Carry { entry, back });
        self.open("model".to_owned(), 1, 1, 0);
        Ok(back)
    }

    /// The finished graph with its results, and the fusions applied in order.
    pub fn finish(mut self, outputs: &[NodeId], fusions: &[&'static fusion::Fusion]) -> Graph {
        self.graph.outputs = outputs.to_vec();
        self.graph.fusions = fusions.to_vec();
        for fusion in fusions {
            fusion.apply(&mut self.graph);
        }
        self.graph
    }

    fn open(&mut self, name: String, count: u64, layers: u64, first_layer: u64) {
        self.layer = 0;
        self.graph.regions.push(Region { name, count, layers, first_layer, carry: None });
    }

    fn push(&mut self, name: String, kind: Kind, ty: TensorType) -> NodeId {
        let region = RegionId(self.graph.regions.len() - 1);
        let node = Node { name, kind, ty, region, share: None, layer: self.layer, fused: None };
        NodeId(self.graph.dag.add_node(node))
    }
}
