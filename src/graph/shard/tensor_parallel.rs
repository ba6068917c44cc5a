//! Second pass: the graph of one rank, with an exchange wherever a value lies otherwise than read.

use super::layouts::Layouts;
use super::{ShardError, Ways};
use crate::graph::{Builder, Graph, Kind, NodeId, Share, Source};
use crate::op::split::{Cut, Layout, Rank, share};
use crate::op::{AllGather, AllReduce, GatherTokens, ReduceScatter};
use crate::tensor::{Dim, TensorType};
use std::collections::BTreeMap;

/// The graph that one rank of a tensor-parallel group runs (Shoeybi et al., arXiv 1909.08053).
///
/// The graphs of all ranks have the same nodes in the same order. The residual stream is whole on
/// every rank; what is split between follows from each operator's rule. Experts are dealt in blocks to
/// groups of ranks, which divide them and the ranks, and cut inside a group. With sequence parallelism
/// (Korthikanti et al., arXiv 2205.05198) the residual stream lies in shares of the tokens: an
/// all-reduce becomes a reduce-scatter and a gather behind it.
///
/// # Errors
/// Heads that do not divide, or a wiring without an exchange for it.
pub fn tensor_parallel(graph: &Graph, rank: Rank, ways: Ways) -> Result<Graph, ShardError> {
    if rank.of == 1 {
        return Ok(graph.clone());
    }
    let layouts = Layouts::new(graph, rank, ways)?;
    let builder = Builder::new();
    let mut rewrite = Rewrite { graph, rank, layouts, builder, made: BTreeMap::new() };
    for body in graph.bodies() {
        for &id in &body {
            rewrite.builder.layer(graph.node(id).layer);
            rewrite.node(id)?;
        }
        if let Some(carry) = graph.region(body[0]).carry {
            let layout = rewrite.layouts.values[carry.entry.index()].unwrap_or(Layout::Whole);
            let back = rewrite.value(carry.back, layout)?;
            let entry = rewrite.made[&(carry.entry, layout)];
            rewrite.builder.leave(entry, back)?;
        }
    }
    let outputs = graph.outputs().iter().map(|&o| rewrite.value(o, Layout::Whole));
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    Ok(rewrite.builder.finish(&outputs, &graph.fusions))
}

struct Rewrite<'a> {
    graph: &'a Graph,
    rank: Rank,
    layouts: Layouts,
    builder: Builder,
    /// The rank's node of a value, as it lies and as exchanges have brought it.
    made: BTreeMap<(NodeId, Layout), NodeId>,
}

impl Rewrite<'_> {
    fn node(&mut self, id: NodeId) -> Result<(), ShardError> {
        let node = self.graph.node(id);
        let layout = self.layouts.values[id.index()].unwrap_or(Layout::Whole);
        let made = match &node.kind {
            Kind::Source(source) => self.source(id, *source, layout),
            Kind::Carry => {
                let entry = self.value(self.graph.operands(id)[0], layout)?;
                let region = self.graph.region(id);
                self.builder.first_layer(region.first_layer);
                self.builder.enter(region.name.clone(), region.count, region.layers, entry)
            }
            Kind::Apply(_) => {
                let split = self.layouts.splits[id.index()].clone();
                let split = split.expect("invariant: the first pass split every operator");
                let operands = self.graph.operands(id).into_iter().zip(&split.operands);
                let operands = operands.map(|(o, &wanted)| self.value(o, wanted));
                let operands = operands.collect::<Result<Vec<_>, _>>()?;
                self.builder.apply(node.name.clone(), split.op, &operands)?
            }
        };
        self.made.insert((id, layout), made);
        Ok(())
    }

    fn source(&mut self, id: NodeId, source: Source, layout: Layout) -> NodeId {
        let node = self.graph.node(id);
        let (mut ty, mut whole) = (node.ty, node.ty.width);
        match (layout, ty.rows) {
            (Layout::Columns { parts }, _) => ty.width = share(ty.width, parts),
            (Layout::Experts { cut: Cut::Columns, groups, parts, .. }, Dim::Fixed(rows)) => {
                ty.rows = Dim::Fixed(rows / groups);
                ty.width = share(ty.width, parts);
            }
            (Layout::Experts { cut: Cut::Rows, experts, groups, parts }, Dim::Fixed(rows)) => {
                whole = rows;
                ty.rows = Dim::Fixed(experts / groups * share(rows / experts, parts));
            }
            (Layout::Experts { cut: Cut::First, groups, .. }, Dim::Fixed(rows)) => {
                whole = rows;
                ty.rows = Dim::Fixed(rows / groups);
            }
            (Layout::Rows { parts }, Dim::Fixed(rows)) => {
                whole = rows;
                ty.rows = Dim::Fixed(share(rows, parts));
            }
            _ => {}
        }
        if source == Source::Input {
            return self.builder.source(node.name.clone(), source, ty);
        }
        let share = Share { layout, rank: self.rank, whole };
        let share = node.share.map_or(share, |block| share.of_block(block));
        self.builder.share(node.name.clone(), source, ty, share)
    }

    /// A value as it is wanted: as it lies, or behind an exchange.
    fn value(&mut self, id: NodeId, wanted: Layout) -> Result<NodeId, ShardError> {
        if let Some(&made) = self.made.get(&(id, wanted)) {
            return Ok(made);
        }
        let node = self.graph.node(id);
        let lies = self.layouts.values[id.index()].unwrap_or(Layout::Whole);
        let (TensorType { rows, width, .. }, ranks) = (node.ty, self.rank.of);
        let from = self.made[&(id, lies)];
        let made = match (lies, wanted) {
            (Layout::Partial, Layout::Whole) => {
                let op = AllReduce { rows, width, ranks };
                self.builder.apply(format!("{}.all_reduce", node.name), op, &[from])?
            }
            (Layout::Columns { parts }, Layout::Whole) => {
                let op = AllGather { rows, width, parts, ranks };
                self.builder.apply(format!("{}.all_gather", node.name), op, &[from])?
            }
            (Layout::Partial, Layout::Tokens) => {
                let op = ReduceScatter { width, ranks };
                self.builder.apply(format!("{}.reduce_scatter", node.name), op, &[from])?
            }
            (Layout::Tokens, Layout::Whole) => {
                let op = GatherTokens { width, ranks };
                self.builder.apply(format!("{}.gather_tokens", node.name), op, &[from])?
            }
            _ => return Err(ShardError::Exchange { node: node.name.clone() }),
        };
        self.made.insert((id, wanted), made);
        Ok(made)
    }
}
