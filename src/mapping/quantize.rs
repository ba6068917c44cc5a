//! What a scheme adds to a graph: operators that quantize activations.

use crate::dtype::{Group, Scaled, Scheme, Storage};
use crate::graph::{Graph, Scales};
use std::borrow::Cow;

/// The graph that a scheme runs: where activations are quantized with scales that are found as they
/// come, a [`crate::op::Quantize`] before the projections that read them (A60); else the graph itself.
pub fn rewritten<'a>(graph: &'a Graph, scheme: &Scheme) -> Cow<'a, Graph> {
    let Some(scales) = dynamic_scales(&scheme.activations) else { return Cow::Borrowed(graph) };
    let graph = graph.quantized(|_| Some(scales));
    Cow::Owned(graph.expect("invariant: a graph that types does so with its values quantized"))
}

/// Scales that are found when a value is computed; none where it is plain or they are known before.
const fn dynamic_scales(storage: &Storage) -> Option<Scales> {
    match storage {
        Storage::Block(block) => Some(Scales::PerBlock(block.elements())),
        Storage::Scaled(Scaled { group: Group::Row, .. }) => Some(Scales::PerRow),
        Storage::Scaled(_) | Storage::Plain(_) => None,
    }
}
