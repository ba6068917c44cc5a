//! Quantization of activations as operators of the graph: a rewrite for dynamic scales.

use super::rewrite::{Copy, Rewrite, rewrite};
use super::{Graph, GraphError, NodeId};
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
        rewrite(Quantized { copy: Copy::new(self), wanted, quantized: BTreeMap::new() })
    }
}

struct Quantized<'a, W> {
    copy: Copy<'a>,
    wanted: W,
    /// By region, layer, value and scales.
    quantized: BTreeMap<(usize, u64, NodeId, Scales), NodeId>,
}

impl<'a, W: Fn(NodeId) -> Option<Scales>> Rewrite<'a> for Quantized<'a, W> {
    type Error = GraphError;

    fn copy(&mut self) -> &mut Copy<'a> {
        &mut self.copy
    }

    fn apply(&mut self, id: NodeId, op: &Op) -> Result<NodeId, GraphError> {
        let graph = self.copy.graph;
        let scales = if graph.is_projection(id) { (self.wanted)(id) } else { None };
        let mut operands = self.copy.operands(id);
        // The first operand of a product is what it multiplies; caches come as they are kept.
        let first = graph.operands(id).first().copied();
        let activation = |o: &NodeId| graph.node(*o).ty.role == Role::Activation;
        if let (Some(scales), Some(value)) = (scales, first.filter(activation)) {
            operands[0] = self.quantize(id, value, scales)?;
        }
        self.copy.builder.apply(graph.node(id).name.clone(), op.clone(), &operands)
    }
}

impl<W> Quantized<'_, W> {
    fn quantize(
        &mut self,
        reader: NodeId,
        value: NodeId,
        scales: Scales,
    ) -> Result<NodeId, GraphError> {
        let (place, from) = (self.copy.graph.node(reader), self.copy.graph.node(value));
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
        let made = self.copy.builder.apply(name, op, &[self.copy.made[&value]])?;
        self.quantized.insert(key, made);
        Ok(made)
    }
}
