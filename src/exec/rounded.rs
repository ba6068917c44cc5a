//! Lower precision: values are computed in f32 and rounded where kernels hand them on.

use super::kernels::{Applied, Kernels};
use crate::codec::{Float, Overflow, slice};
use crate::graph::{Graph, Kind, NodeId};
use crate::op::{Op, Target};
use crate::tensor::Role;

/// Kernels whose results are rounded to a format; sums inside a kernel are f32 (A113).
///
/// A value is rounded where it leaves its kernel, as the graph's fusions draw it: what is fused stays in f32.
#[derive(Debug, Clone, Copy)]
pub struct Rounded<K> {
    kernels: K,
    format: Float,
}

impl<K> Rounded<K> {
    /// The results of `kernels` rounded to `format`.
    pub const fn new(kernels: K, format: Float) -> Self {
        Self { kernels, format }
    }
}

/// Whether a value leaves the kernel that computes it.
fn leaves(graph: &Graph, id: NodeId) -> bool {
    let kernel = |id: NodeId| graph.node(id).fused.as_ref().map(|(_, first)| *first);
    let own = kernel(id);
    let readers = graph.readers(id);
    own.is_none() || readers.is_empty() || readers.iter().any(|&r| kernel(r) != own)
}

impl<K: Kernels<f32>> Kernels<f32> for Rounded<K> {
    fn reads(&self, graph: &Graph, id: NodeId) -> Vec<NodeId> {
        self.kernels.reads(graph, id)
    }

    fn skips(&self, graph: &Graph, id: NodeId) -> bool {
        self.kernels.skips(graph, id)
    }

    fn apply(&self, applied: &Applied<'_, f32>, out: &mut Target<'_, f32>) -> bool {
        self.kernels.apply(applied, out)
    }

    fn settle(&self, graph: &Graph, id: NodeId, value: &mut [f32]) {
        // Tokens and numbers of experts are no quantities.
        let counts = graph.node(id).ty.role == Role::TokenIds;
        let computed =
            matches!(&graph.node(id).kind, Kind::Apply(op) if !matches!(op, Op::Route(_)));
        if computed && !counts && leaves(graph, id) {
            slice::round(self.format, value, Overflow::Special);
        }
        self.kernels.settle(graph, id, value);
    }
}
