//! Which storage each value of a graph takes under a scheme.

use crate::dtype::{Compute, Format, Scheme, Storage};
use crate::graph::{Graph, Kind, NodeId};
use crate::op::Op;
use crate::tensor::{Dim, Role, WeightKind};

/// A scheme applied to a graph.
#[derive(Debug, Clone, Copy)]
pub struct Formats<'a> {
    graph: &'a Graph,
    scheme: &'a Scheme,
}

impl<'a> Formats<'a> {
    /// The storage of every value of `graph` under `scheme`.
    pub const fn new(graph: &'a Graph, scheme: &'a Scheme) -> Self {
        Self { graph, scheme }
    }

    /// Storage of a value: projections, activations that only projections read, and the KV cache
    /// follow the scheme; embedding, head, routers, norms, biases and other activations stay plain (A8).
    pub fn storage(&self, value: NodeId) -> Storage {
        match self.graph.node(value).ty.role {
            Role::Weight(WeightKind::Projection) => self.scheme.weights,
            Role::Weight(_) => self.scheme.plain,
            Role::KvCache { .. } => self.scheme.kv,
            Role::TokenIds => Storage::plain(Format::Int32),
            Role::Activation if self.feeds_projections_only(value) => self.scheme.activations,
            Role::Activation => self.scheme.plain,
        }
    }

    /// Exact mean bits of one element of a value, with its share of scales and zero points.
    pub fn bits_per_element(&self, value: NodeId) -> f64 {
        let storage = self.storage(value);
        let ty = self.graph.node(value).ty;
        match (ty.role, ty.rows) {
            (Role::KvCache { head_dim, .. }, _) => storage.bits_per_element(head_dim),
            (_, Dim::Fixed(rows)) => storage.total_bits(rows, ty.width) / (rows * ty.width) as f64,
            _ => storage.bits_per_element(ty.width),
        }
    }

    /// What an operator's matrix work is computed in.
    pub fn compute(&self, node: NodeId) -> Compute {
        if self.is_projection(node) { self.scheme.projection } else { self.scheme.high }
    }

    /// Vector operations to turn one stored element of `value` into an operand of `node`; none
    /// where the engine takes the stored format as it is (A10).
    pub fn read_conversion(&self, value: NodeId, node: NodeId) -> f64 {
        let storage = self.storage(value);
        let native = self.compute(node) == Compute::Exact(storage.element);
        if native { 0.0 } else { storage.conversion_ops() }
    }

    /// Vector operations per element of the result of `node`: quantizing what is stored with
    /// scales, and rescaling the accumulators of a product of scaled operands (one multiplication
    /// for the row's scale, one for the column's).
    pub fn write_conversion(&self, node: NodeId) -> f64 {
        let scaled = self.is_projection(node) && self.scheme.quantizes_activations();
        self.storage(node).conversion_ops() + if scaled { 2.0 } else { 0.0 }
    }

    fn is_projection(&self, node: NodeId) -> bool {
        let weight =
            |o: &NodeId| self.graph.node(*o).ty.role == Role::Weight(WeightKind::Projection);
        matches!(self.graph.node(node).kind, Kind::Apply(_))
            && self.graph.operands(node).iter().any(weight)
    }

    fn feeds_projections_only(&self, value: NodeId) -> bool {
        let readers = self.graph.readers(value);
        !readers.is_empty()
            && readers.iter().all(|&r| {
                matches!(self.graph.op(r), Some(Op::MatMul(_) | Op::GroupedMatMul(_)))
                    && self.is_projection(r)
            })
    }
}
