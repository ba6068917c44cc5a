//! Where the executor gets the values that no operator computes.

use super::shape::TensorType;
use std::sync::Arc;

/// A given value of the graph: its name and, inside a repeated layer, which layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TensorName<'a> {
    /// Layer number from 0; `None` outside the layers.
    pub layer: Option<u64>,
    /// Name inside the layer, for instance `attn.q.weight`.
    pub name: &'a str,
}

/// Gives weights, inputs and the KV cache as it was before the step.
pub trait TensorSource<S> {
    /// The `rows x width` elements of a tensor, row-major, for `rows` as the step resolves them.
    fn tensor(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Vec<S>;

    /// The same, for a source that keeps what it gives.
    fn shared(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Arc<Vec<S>> {
        Arc::new(self.tensor(name, ty, rows))
    }
}
