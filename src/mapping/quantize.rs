//! What a scheme changes of a graph: layers told apart, operators that quantize activations.

use super::storage::Formats;
use crate::dtype::{Group, Scaled, Scheme, Storage};
use crate::graph::{Graph, Scales};
use std::borrow::Cow;

/// The graph that a scheme runs. Repeated layers for which overrides differ become stretches of their
/// own (A61). Where activations are quantized with scales that are found as they come, a
/// [`crate::op::Quantize`] stands before the projections that read them (A60). Else the graph itself.
pub fn rewritten<'a>(graph: &'a Graph, scheme: &Scheme) -> Cow<'a, Graph> {
    let of_layers = scheme.overrides().iter().any(|o| !o.layers.is_empty());
    let mut result = Cow::Borrowed(graph);
    if of_layers {
        let layers = graph.layers();
        let overrides = scheme.overrides();
        let differs = |layer| -> Vec<bool> {
            overrides.iter().map(|o| o.is_for_layer(Some(layer), layers)).collect()
        };
        let graph = graph.stretched(differs);
        result = Cow::Owned(graph.expect("invariant: stretches of a graph that types do so"));
    }
    let mut schemes = std::iter::once(scheme).chain(scheme.overrides().iter().map(|o| &o.scheme));
    if schemes.any(|s| dynamic_scales(&s.activations).is_some()) {
        let formats = Formats::new(&result, scheme);
        let graph = result.quantized(|id| dynamic_scales(&formats.scheme_of(id).activations));
        result = Cow::Owned(graph.expect("invariant: a graph that types does so quantized"));
    }
    result
}

/// Scales that are found when a value is computed; none where it is plain or they are known before.
const fn dynamic_scales(storage: &Storage) -> Option<Scales> {
    match storage {
        Storage::Block(block) => Some(Scales::PerBlock(block.elements())),
        Storage::Scaled(Scaled { group: Group::Row, .. }) => Some(Scales::PerRow),
        Storage::Scaled(_) | Storage::Plain(_) | Storage::Sparse(_) => None,
    }
}
