//! The graph of one stage of a pipeline: a stretch of layers, received and sent on (A68).

use super::ShardError;
use crate::graph::{Builder, Graph, Kind, NodeId, Source};
use crate::op::Send;
use crate::op::split::Rank;
use crate::tensor::{Dim, Role, TensorType};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The graph that one stage of a pipeline runs (Huang et al., GPipe, arXiv 1811.06965).
///
/// Stage `s` of `p` runs layers `[s L / p, (s + 1) L / p)` of `L`; the first also what comes before
/// the layers, the last what comes behind. What a stage hands on goes through [`Send`]; a later one
/// receives it as the input `stage.x`. Weights outside the layers that several stages read are
/// held by each.
///
/// # Errors
/// More stages than layers, or a graph whose layers hand on more than one value.
pub fn pipeline(graph: &Graph, stage: Rank) -> Result<Graph, ShardError> {
    if stage.of == 1 {
        return Ok(graph.clone());
    }
    let layers: u64 = graph
        .regions()
        .iter()
        .map(|r| if r.carry.is_some() { r.layers * r.count } else { 0 })
        .sum();
    if stage.of > layers {
        return Err(ShardError::Stages { stages: stage.of, layers });
    }
    let own = layers * stage.index / stage.of..layers * (stage.index + 1) / stage.of;
    let mut cut =
        Cut { graph, own, layers, builder: Builder::new(), made: BTreeMap::new(), handed: None };
    cut.given();
    cut.receive()?;
    let mut before = 0;
    let nodes: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    for body in nodes.chunk_by(|a, b| graph.node(*a).region == graph.node(*b).region) {
        let region = graph.region(body[0]);
        if region.carry.is_some() {
            cut.layers(body, before)?;
            before += region.layers * region.count;
        } else {
            cut.outside(body, before)?;
        }
    }
    cut.finish()
}

struct Cut<'a> {
    graph: &'a Graph,
    /// The layers of this stage, of all.
    own: Range<u64>,
    layers: u64,
    builder: Builder,
    made: BTreeMap<NodeId, NodeId>,
    /// What the layers so far hand on.
    handed: Option<NodeId>,
}

impl Cut<'_> {
    const fn is_first(&self) -> bool {
        self.own.start == 0
    }

    const fn is_last(&self) -> bool {
        self.own.end == self.layers
    }

    /// Whether what stands behind `before` layers and outside of them belongs to this stage.
    fn holds_outside(&self, before: u64) -> bool {
        match before {
            0 => self.is_first(),
            n if n == self.layers => self.is_last(),
            n => self.own.contains(&n),
        }
    }

    /// Weights and inputs outside the layers that something in this stage reads.
    fn given(&mut self) {
        let mut wanted = BTreeSet::new();
        for (id, _) in self.graph.nodes() {
            let (before, region) = (self.before(id), self.graph.region(id));
            let held = match region.carry {
                Some(_) => {
                    let end = before + region.layers * region.count;
                    before < self.own.end && self.own.start < end
                }
                None => self.holds_outside(before),
            };
            if held {
                wanted.extend(self.graph.operands(id));
            }
        }
        for id in wanted {
            let node = self.graph.node(id);
            if let (Kind::Source(source), None) = (&node.kind, self.graph.region(id).carry) {
                let made = self.builder.source(node.name.clone(), *source, node.ty);
                self.made.insert(id, made);
            }
        }
    }

    /// Layers in front of a node outside of them.
    fn before(&self, id: NodeId) -> u64 {
        let regions = self.graph.regions().iter();
        let ahead = regions.take(self.graph.node(id).region.index());
        ahead.map(|r| if r.carry.is_some() { r.layers * r.count } else { 0 }).sum()
    }

    fn receive(&mut self) -> Result<(), ShardError> {
        if self.is_first() {
            return Ok(());
        }
        let entries = self.graph.regions().iter().filter_map(|r| r.carry);
        let carried = entries.map(|c| self.graph.node(c.entry)).next();
        let ty = carried.map_or(TensorType::activation(Dim::Tokens, 1), |node| node.ty);
        self.handed = Some(self.builder.source("stage.x", Source::Input, ty));
        Ok(())
    }

    /// Copies the operators of a stretch outside the layers.
    fn outside(&mut self, body: &[NodeId], before: u64) -> Result<(), ShardError> {
        if !self.holds_outside(before) {
            return Ok(());
        }
        body.iter().try_for_each(|&id| self.copy(id))
    }

    /// Copies the iterations of a region that belong to this stage, cut where it begins or ends.
    fn layers(&mut self, body: &[NodeId], before: u64) -> Result<(), ShardError> {
        let region = self.graph.region(body[0]);
        let end = before + region.layers * region.count;
        let own = self.own.start.max(before)..self.own.end.min(end);
        if own.is_empty() {
            return Ok(());
        }
        let (from, to, l) = (own.start - before, own.end - before, region.layers);
        let (first_whole, last_whole) = (from.div_ceil(l), to / l);
        if first_whole > last_whole {
            return self.iterations(body, before + from, from % l..to % l, 1);
        }
        if !from.is_multiple_of(l) {
            self.iterations(body, before + from, from % l..l, 1)?;
        }
        if last_whole > first_whole {
            self.iterations(body, before + first_whole * l, 0..l, last_whole - first_whole)?;
        }
        if !to.is_multiple_of(l) {
            self.iterations(body, before + last_whole * l, 0..to % l, 1)?;
        }
        Ok(())
    }

    /// `count` iterations of the layers `part` of a body, the first of them layer `first`.
    fn iterations(
        &mut self,
        body: &[NodeId],
        first: u64,
        part: Range<u64>,
        count: u64,
    ) -> Result<(), ShardError> {
        let region = self.graph.region(body[0]);
        let carry = region.carry.expect("invariant: a body of layers carries a value");
        let outside = self.graph.operands(carry.entry)[0];
        let x = match self.handed {
            Some(x) => x,
            None => self.made[&outside],
        };
        self.builder.first_layer(first);
        let entry = self.builder.enter(region.name.clone(), count, part.end - part.start, x);
        let begins = self.crossing(body, part.start, carry.entry)?;
        for &id in body {
            self.made.remove(&id);
        }
        self.made.insert(begins, entry);
        for &id in body {
            let node = self.graph.node(id);
            if part.contains(&node.layer) && node.kind != Kind::Carry {
                self.builder.layer(node.layer - part.start);
                self.copy(id)?;
            }
        }
        let back = if part.end == region.layers {
            carry.back
        } else {
            self.crossing(body, part.end, carry.entry)?
        };
        let back = self.made[&back];
        self.handed = Some(self.builder.leave(entry, back)?);
        self.made.insert(carry.back, back);
        Ok(())
    }

    /// The one value that layers from `layer` on read of those before it.
    fn crossing(&self, body: &[NodeId], layer: u64, entry: NodeId) -> Result<NodeId, ShardError> {
        if layer == 0 {
            return Ok(entry);
        }
        let region = self.graph.node(entry).region;
        let late = body.iter().filter(|id| self.graph.node(**id).layer >= layer);
        let read: BTreeSet<NodeId> = late
            .flat_map(|id| self.graph.operands(*id))
            .filter(|o| self.graph.node(*o).region == region && self.graph.node(*o).layer < layer)
            .collect();
        match read.iter().copied().collect::<Vec<_>>()[..] {
            [one] => Ok(one),
            _ => Err(ShardError::Exchange { node: self.graph.node(entry).name.clone() }),
        }
    }

    fn copy(&mut self, id: NodeId) -> Result<(), ShardError> {
        if self.made.contains_key(&id) {
            return Ok(());
        }
        let node = self.graph.node(id);
        let made = match &node.kind {
            Kind::Carry => return Ok(()),
            Kind::Source(source) if self.graph.region(id).carry.is_some() => {
                self.builder.source(node.name.clone(), *source, node.ty)
            }
            // What is given outside the layers was made where something reads it.
            Kind::Source(_) => return Ok(()),
            Kind::Apply(op) => {
                let operands = self.graph.operands(id);
                let found = operands.iter().map(|o| self.made.get(o).copied());
                let found: Option<Vec<NodeId>> = found.collect();
                let missing = || ShardError::Exchange { node: node.name.clone() };
                self.builder.apply(node.name.clone(), op.clone(), &found.ok_or_else(missing)?)?
            }
        };
        self.made.insert(id, made);
        Ok(())
    }

    fn finish(mut self) -> Result<Graph, ShardError> {
        let outputs: Vec<NodeId> = if self.is_last() {
            self.graph.outputs().iter().filter_map(|o| self.made.get(o).copied()).collect()
        } else {
            let x = self.handed.expect("invariant: a stage has layers");
            let TensorType { rows, width, role: Role::Activation } = self.builder.ty(x) else {
                return Err(ShardError::Exchange { node: "stage.x".to_owned() });
            };
            vec![self.builder.apply("stage.send", Send { rows, width }, &[x])?]
        };
        Ok(self.builder.finish(&outputs, &self.graph.fusions))
    }
}
