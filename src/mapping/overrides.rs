//! Whether the overrides of a scheme are for something that a model has.

use super::storage::is_matrix;
use crate::diagnostic::Diagnostic;
use crate::dtype::{Override, Scheme};
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::tensor::{Role, WeightKind};
use std::collections::BTreeSet;

/// Refuses a scheme with an override that no tensor of a model takes.
///
/// # Errors
/// The first such override, where it was written, with the names of tensors.
pub fn check_overrides<'a>(
    graphs: impl IntoIterator<Item = &'a Graph>,
    scheme: &Scheme,
) -> Result<(), Diagnostic> {
    let graphs: Vec<&Graph> = graphs.into_iter().collect();
    for wanted in scheme.overrides() {
        let taken = |graph: &&Graph| matrices(graph).any(|id| takes(graph, id, wanted));
        if !graphs.iter().any(taken) {
            let names: BTreeSet<String> = graphs.iter().flat_map(|graph| names(graph)).collect();
            let names: Vec<String> = names.into_iter().collect();
            let message = "an override is for no tensor of the model";
            let hint = format!("its tensors are {}; layers count from 0", names.join(", "));
            return Err(Diagnostic::new(message).at(wanted.place.clone()).hint(hint));
        }
    }
    Ok(())
}

/// The weights that a scheme may quantize.
fn matrices(graph: &Graph) -> impl Iterator<Item = NodeId> + '_ {
    graph.nodes().filter_map(|(id, node)| match (&node.kind, node.ty.role) {
        (Kind::Source(Source::Weight), Role::Weight(kind)) if is_matrix(kind) => Some(id),
        _ => None,
    })
}

fn takes(graph: &Graph, id: NodeId, wanted: &Override) -> bool {
    let (node, region) = (graph.node(id), graph.region(id));
    let projection = node.ty.role == Role::Weight(WeightKind::Projection);
    if !wanted.is_for_tensor(&node.name, projection) {
        return false;
    }
    if region.carry.is_none() {
        return wanted.is_for_layer(None, graph.layers());
    }
    let mut layers = (0..region.count).map(|i| region.first_layer + i * region.layers + node.layer);
    layers.any(|layer| wanted.is_for_layer(Some(layer), graph.layers()))
}

fn names(graph: &Graph) -> impl Iterator<Item = String> + '_ {
    let name = |id| graph.node(id).name.clone();
    matrices(graph).map(move |id| name(id).trim_end_matches(".weight").to_owned())
}
