//! What a layer computes, in words: its operators in order.

use super::LayerKeys;
use super::parts::parts;
use crate::graph::{Graph, NodeId};
use std::collections::BTreeMap;

/// A line an operator: its name, what it reads, and what it computes of it.
pub(super) fn operators(graph: &Graph, keys: &LayerKeys) -> Vec<String> {
    let of_cases: Vec<_> = parts(graph, keys);
    let known: BTreeMap<NodeId, String> = of_cases.iter().flat_map(|p| p.conventions()).collect();
    let mut said: BTreeMap<String, &str> = BTreeMap::new();
    let mut lines = vec![];
    for (id, node) in graph.nodes() {
        let Some(op) = graph.op(id) else { continue };
        let operands: Vec<&str> =
            graph.operands(id).iter().map(|&o| graph.node(o).name.as_str()).collect();
        let meaning = known.get(&id).cloned().unwrap_or_else(|| mathematics(op.formula()));
        let meaning = match said.get(&meaning) {
            Some(first) => format!("as {first}."),
            None => {
                said.insert(meaning.clone(), &node.name);
                meaning
            }
        };
        lines.push(format!("`{}` = {}({}): {meaning}", node.name, op.name(), operands.join(", ")));
    }
    lines
}

/// A formula without its count of operations.
fn mathematics(formula: &str) -> String {
    format!("{}.", formula.split(';').next().unwrap_or(formula))
}
