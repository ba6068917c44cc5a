//! Quantization of activations as operators of the graph: a rewrite for dynamic scales.

use super::{Builder, Graph, GraphError, Kind, NodeId};
use crate::op::{Op, Quantize};
use crate::tensor::{Role, TensorType, WeightKind};
use std::collections::BTreeMap;

/// Which elements of an activation share a scale that is found when it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scales {
    /// A row: a token.
    PerRow,
    /// This many neighbours of a row.
    PerBlock(u64),
}

impl Graph {
    /// Whether a node multiplies an activation by the weights of a projection.
    pub fn is_projection(&self, id: NodeId) -> bool {
        let weight = |o: &NodeId| self.node(*o).ty.role == Role::Weight(WeightKind::Projection);
        matches!(self.op(id), Some(Op::MatMul(_) | Op::GroupedMatMul(_)))
            && self.operands(id).iter().any(weight)
    }

    /// The graph with a [`Quantize`] before every projection that wants one. Projections of a layer
    /// that read the same value in the same way share it; other readers keep the plain value.
    ///
    /// # Errors
    /// None for a graph that types.
    pub fn quantized(&self, wanted: impl Fn(NodeId) -> Option<Scales>) -> Result<Self, GraphError> {
        let mut rewrite = Rewrite {
            graph: self,
            builder: Builder::new(),
            made: BTreeMap::new(),
            quantized: BTreeMap::new(),
        };
        let nodes: Vec<NodeId> = self.nodes().map(|(id, _)| id).collect();
        for body in nodes.chunk_by(|a, b| self.node(*a).region == self.node(*b).region) {
            for &id in body {
                rewrite.builder.layer(self.node(id).layer);
                rewrite.node(id, &wanted)?;
            }
            if let Some(carry) = self.region(body[0]).carry {
                let (entry, back) = (rewrite.made[&carry.entry], rewrite.made[&carry.back]);
                rewrite.builder.leave(entry, back)?;
            }
        }
        let outputs: Vec<NodeId> = self.outputs.iter().map(|o| rewrite.made[o]).collect();
        Ok(rewrite.builder.finish(&outputs, &self.fusions))
    }
}

struct Rewrite<'a> {
    graph: &'a Graph,
    builder: Builder,
    made: BTreeMap<NodeId, NodeId>,
    /// By region, layer, value and scales.
    quantized: BTreeMap<(usize, u64, NodeId, Scales), NodeId>,
}

impl Rewrite<'_> {
    fn node(
        &mut self,
        id: NodeId,
        wanted: &impl Fn(NodeId) -> Option<Scales>,
    ) -> Result<(), GraphError> {
        let node = self.graph.node(id);
        let made = match &node.kind {
            Kind::Source(source) => self.builder.source(node.name.clone(), *source, node.ty),
            Kind::Carry => {
                let entry = self.made[&self.graph.operands(id)[0]];
                let region = self.graph.region(id);
                self.builder.first_layer(region.first_layer);
                self.builder.enter(region.name.clone(), region.count, region.layers, entry)
            }
            Kind::Apply(op) => {
                let scales = if self.graph.is_projection(id) { wanted(id) } else { None };
                // The first operand of a product is what it multiplies; caches come as they are kept.
                let operands = self.graph.operands(id).into_iter().enumerate();
                let operands = operands.map(|(i, o)| match scales {
                    Some(scales) if i == 0 && self.graph.node(o).ty.role == Role::Activation => {
                        self.quantize(id, o, scales)
                    }
                    _ => Ok(self.made[&o]),
                });
                let operands = operands.collect::<Result<Vec<_>, _>>()?;
                self.builder.apply(node.name.clone(), op.clone(), &operands)?
            }
        };
        self.made.insert(id, made);
        Ok(())
    }

    fn quantize(
        &mut self,
        reader: NodeId,
        value: NodeId,
        scales: Scales,
    ) -> Result<NodeId, GraphError> {
        let (place, from) = (self.graph.node(reader), self.graph.node(value));
        let key = (place.region.index(), place.layer, value, scales);
        if let Some(&made) = self.quantized.get(&key) {
            return Ok(made);
        }
        let TensorType { rows, width, .. } = from.ty;
        let group = match scales {
            Scales::PerRow => width,
            Scales::PerBlock(elements) => elements.min(width),
        };
        let op = Quantize { rows, width, group, choices: None };
        let name = format!("{}.quantize", from.name);
        let made = self.builder.apply(name, op, &[self.made[&value]])?;
        self.quantized.insert(key, made);
        Ok(made)
    }
}
