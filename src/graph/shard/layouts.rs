//! First pass: how every value lies over the ranks, by the operators' own rules.

use super::{ShardError, Ways, gcd};
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::op::split::{Found, Layout, Rank, Split};

/// How the values of a graph lie over the ranks of a group.
#[derive(Debug)]
pub(super) struct Layouts {
    /// Of each node's value; `None` for a weight that nothing reads.
    pub(super) values: Vec<Found>,
    /// Of each operator: what a rank runs.
    pub(super) splits: Vec<Option<Split>>,
}

impl Layouts {
    /// Walks a graph in order of execution. Inputs are whole on every rank; carried values are too, or
    /// shares of the tokens.
    pub(super) fn new(graph: &Graph, rank: Rank, ways: Ways) -> Result<Self, ShardError> {
        let count = graph.nodes().count();
        let mut layouts = Self { values: vec![None; count], splits: vec![None; count] };
        for (id, node) in graph.nodes() {
            match &node.kind {
                Kind::Source(Source::Input) => {
                    layouts.values[id.index()] = Some(Layout::Whole);
                }
                Kind::Carry => {
                    let outside = layouts.values[graph.operands(id)[0].index()];
                    let place = ways.place(rank, None);
                    let layout = if place.shares(outside) { Layout::Tokens } else { Layout::Whole };
                    layouts.values[id.index()] = Some(layout);
                }
                Kind::Source(Source::Weight | Source::Cache) => {}
                Kind::Apply(op) => {
                    let operands = graph.operands(id);
                    let found: Vec<Found> =
                        operands.iter().map(|o| layouts.found(graph, *o)).collect();
                    let place = ways.place(rank, groups(graph, id));
                    let split = op
                        .split(place, &found)
                        .map_err(|source| ShardError::Split { node: node.name.clone(), source })?;
                    layouts.place(graph, &operands, &split)?;
                    layouts.values[id.index()] = Some(split.result);
                    layouts.splits[id.index()] = Some(split);
                }
            }
        }
        Ok(layouts)
    }

    fn found(&self, graph: &Graph, operand: NodeId) -> Found {
        self.values[operand.index()].filter(|_| !graph.is_placed_by_reader(operand))
    }

    /// Lays weights and caches as their reader wants them.
    fn place(
        &mut self,
        graph: &Graph,
        operands: &[NodeId],
        split: &Split,
    ) -> Result<(), ShardError> {
        for (&operand, &wanted) in operands.iter().zip(&split.operands) {
            if graph.is_placed_by_reader(operand) {
                let lies = *self.values[operand.index()].get_or_insert(wanted);
                if lies != wanted {
                    let node = graph.node(operand).name.clone();
                    return Err(ShardError::Conflict { node });
                }
            }
        }
        Ok(())
    }
}

/// Column groups that the readers of a value keep in one piece: what divides the groups of all.
fn groups(graph: &Graph, value: NodeId) -> Option<u64> {
    let of_reader = |reader: NodeId| {
        let operands = graph.operands(reader);
        let at = operands.iter().position(|&o| o == value);
        match (graph.op(reader), at) {
            (Some(op), Some(at)) => op.groups(at),
            _ => Some(1),
        }
    };
    graph.readers(value).into_iter().filter_map(of_reader).reduce(gcd)
}
