//! Values of a graph in files.

use super::arrays;
use super::error::Error;
use super::files::Pending;
use super::run::Stored;
use crate::diagnostic::Diagnostic;
use crate::formats::safetensors::{self, Written};
use crate::model::Graphs;
use crate::session::Outcome;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the values whose names contain `filter`: a `.safetensors` file, or a folder of `.npy` files. A value is
/// `[rows, width]`; inside layers its name begins with the layer.
pub fn write<S: Stored>(
    path: &Path,
    graphs: &Graphs,
    outcome: &Outcome<S>,
    filter: &str,
) -> Result<(), Error> {
    let chosen = outcome.kept.iter().filter(|((_, name), _)| name.contains(filter));
    let tensors: Vec<Written> = chosen
        .map(|((layer, name), value)| Written {
            name: layer.map_or_else(|| name.clone(), |l| format!("layers.{l}.{name}")),
            kind: S::KIND,
            shape: shape(graphs, name, value.len() as u64),
            bytes: S::bytes(value),
        })
        .collect();
    if tensors.is_empty() {
        let message = format!("no value's name contains `{}`", crate::diagnostic::clip(filter));
        let hint = "`cosim graph` prints the names; under flash attention scores have no value";
        return Err(Diagnostic::new(message).hint(hint).into());
    }
    if path.extension().is_some_and(|e| e == "safetensors") {
        let content = safetensors::file(&tensors, &BTreeMap::new());
        let content = content.map_err(|e| Diagnostic::new(e.to_string()))?;
        let mut file = Pending::create(path)?;
        file.write(&content)?;
        return file.finish();
    }
    for tensor in &tensors {
        let file = path.join(format!("{}.npy", tensor.name));
        arrays::write(&file, tensor.kind, &tensor.shape, &tensor.bytes)?;
    }
    Ok(())
}

/// Rows and width of a value of a node.
fn shape(graphs: &Graphs, name: &str, elements: u64) -> Vec<u64> {
    let nodes = graphs.parts().flat_map(|(_, graph)| graph.nodes());
    let width = nodes.into_iter().find(|(_, n)| n.name == name).map_or(1, |(_, n)| n.ty.width);
    vec![elements / width.max(1), width]
}
