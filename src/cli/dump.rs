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
use std::str::FromStr;

/// Which values are written, by their whole names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Names that contain it.
    Part(String),
    /// Names that match it from end to end.
    Pattern(glob::Pattern),
}

impl Default for Filter {
    fn default() -> Self {
        Self::Part(String::new())
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::Part(text.to_owned()));
        }
        let pattern = glob::Pattern::new(text);
        pattern.map(Self::Pattern).map_err(|e| format!("at character {}: {}", e.pos, e.msg))
    }
}

impl Filter {
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::Part(part) => name.contains(part),
            Self::Pattern(pattern) => pattern.matches(name),
        }
    }

    /// Whether the value of a node is written in some layer.
    pub fn keeps(&self, name: &str, layers: u64) -> bool {
        self.holds(name) || (0..layers).any(|layer| self.holds(&full(Some(layer), name)))
    }

    fn none(&self) -> Diagnostic {
        let message = match self {
            Self::Part(part) => {
                format!("no value's name contains `{}`", crate::diagnostic::clip(part))
            }
            Self::Pattern(pattern) => {
                format!("no value's name matches `{}`", crate::diagnostic::clip(pattern.as_str()))
            }
        };
        let hint = "names are like layers.3.attn.q (`cosim graph` prints them); under flash attention scores \
                    have no value";
        Diagnostic::new(message).hint(hint)
    }
}

/// A value's name; inside layers it begins with the layer.
fn full(layer: Option<u64>, name: &str) -> String {
    layer.map_or_else(|| name.to_owned(), |l| format!("layers.{l}.{name}"))
}

/// Writes the values that a filter holds: a `.safetensors` file, or a folder of `.npy` files. A value is
/// `[rows, width]`.
pub fn write<S: Stored>(
    path: &Path,
    graphs: &Graphs,
    outcome: &Outcome<S>,
    filter: &Filter,
) -> Result<(), Error> {
    let named = outcome.kept.iter().map(|((layer, name), value)| (full(*layer, name), name, value));
    let tensors: Vec<Written> = named
        .filter(|(whole, ..)| filter.holds(whole))
        .map(|(whole, name, value)| Written {
            name: whole,
            kind: S::KIND,
            shape: shape(graphs, name, value.len() as u64),
            bytes: S::bytes(value),
        })
        .collect();
    if tensors.is_empty() {
        return Err(filter.none().into());
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
