//! How the nodes of a graph are computed.

use crate::graph::{Graph, NodeId};
use crate::op::scalar::Scalar;
use crate::op::{Op, Operand, Target};
use crate::tensor::Step;

/// A node that is to be computed.
#[derive(Debug)]
pub struct Applied<'a, S> {
    /// The graph that it is in.
    pub graph: &'a Graph,
    /// The node.
    pub id: NodeId,
    /// Its layer; `None` outside of layers.
    pub layer: Option<u64>,
    /// Its operator.
    pub op: &'a Op,
    /// The step.
    pub step: &'a Step,
    /// What [`Kernels::reads`] names, in order.
    pub operands: &'a [Operand<'a, S>],
}

/// How nodes are computed, and what becomes of their values.
pub trait Kernels<S> {
    /// The values that a node is computed from: its operands, and those of nodes that it computes along.
    fn reads(&self, graph: &Graph, id: NodeId) -> Vec<NodeId> {
        graph.operands(id)
    }

    /// Whether a node is computed along with another and has no value of its own.
    fn skips(&self, _graph: &Graph, _id: NodeId) -> bool {
        false
    }

    /// Computes a node; false leaves it to its operator.
    fn apply(&self, applied: &Applied<'_, S>, out: &mut Target<'_, S>) -> bool;

    /// What becomes of a value before others read it: rounding, for instance.
    fn settle(&self, _graph: &Graph, _id: NodeId, _value: &mut [S]) {}
}

/// Every node in its operator's defining form.
#[derive(Debug, Clone, Copy, Default)]
pub struct Defining;

impl<S: Scalar> Kernels<S> for Defining {
    fn apply(&self, _: &Applied<'_, S>, _: &mut Target<'_, S>) -> bool {
        false
    }
}
