//! The graphs of one stage of a pipeline: a stretch of layers, received and sent on (A68), and what every
//! stage makes of the last one's result (A89).

use super::ShardError;
use crate::graph::{Builder, Graph, Kind, NodeId, Region, Source};
use crate::op::split::Rank;
use crate::op::{Broadcast, Send};
use crate::tensor::{Dim, Role, TensorType};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The graph that one stage of a pipeline runs (Huang et al., GPipe, arXiv 1811.06965).
///
/// Stage `s` of `p` runs layers `[s L / p, (s + 1) L / p)` of `L`; the first also what comes before
/// the layers, the last what comes behind. What a stage hands on goes through [`Send`]; a later one
/// receives it as the input `stage.x`. Weights outside the layers that several stages read are
/// held by each. What layers make of one value alike is left out: see [`broadcast`].
///
/// # Errors
/// More stages than layers, or a graph whose layers hand on more than one value.
pub fn pipeline(graph: &Graph, stage: Rank) -> Result<Graph, ShardError> {
    if stage.of == 1 {
        return Ok(graph.clone());
    }
    let mut cut = Cut::new(graph, stage, Part::Through)?;
    cut.given();
    cut.receive();
    let mut before = 0;
    for body in graph.bodies() {
        let region = graph.region(body[0]);
        match region.carry {
            None => cut.outside(&body, before)?,
            Some(_) => cut.layers(&body, before)?,
        }
        before += cut.part.layers(region);
    }
    cut.finish()
}

/// The graph in which one stage of a pipeline makes of the last stage's result what its own layers
/// need of it: the cross-attention keys and values of its decoder layers. `None` where there is one stage,
/// or nothing of the kind.
///
/// All stages run theirs at once. Each begins with a [`Broadcast`] of the input `stage.x`: the last
/// stage's result there, anything of that size on the others.
///
/// # Errors
/// More stages than layers.
pub fn broadcast(graph: &Graph, stage: Rank) -> Result<Option<Graph>, ShardError> {
    let alike = graph.regions().iter().find(|r| Part::Alike.layers(r) > 0);
    let (Some(region), true) = (alike, stage.of > 1) else { return Ok(None) };
    let carry = region.carry.expect("invariant: a region with layers carries a value");
    let mut cut = Cut::new(graph, stage, Part::Alike)?;
    cut.given();
    let ty = graph.node(carry.entry).ty;
    let x = cut.builder.source("stage.x", Source::Input, ty);
    let op = Broadcast { rows: ty.rows, width: ty.width, ranks: stage.of };
    cut.handed = Some(cut.builder.apply("stage.broadcast", op, &[x])?);
    let mut before = 0;
    for body in graph.bodies() {
        cut.layers(&body, before)?;
        before += cut.part.layers(graph.region(body[0]));
    }
    Ok(Some(cut.builder.finish(&[], &graph.fusions)))
}

/// Which of a graph's layers are cut over the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Those that hand on what they make, with what lies outside of layers.
    Through,
    /// Those that are all given one value.
    Alike,
}

impl Part {
    /// Layers of a region, if they are of this part.
    fn layers(self, region: &Region) -> u64 {
        let counts = match self {
            Self::Through => region.is_stack(),
            Self::Alike => region.carry.is_some() && !region.is_stack(),
        };
        if counts { region.layers * region.count } else { 0 }
    }
}

struct Cut<'a> {
    graph: &'a Graph,
    part: Part,
    /// The layers of this stage, of all.
    own: Range<u64>,
    layers: u64,
    builder: Builder,
    made: BTreeMap<NodeId, NodeId>,
    /// What the layers so far hand on.
    handed: Option<NodeId>,
}

impl<'a> Cut<'a> {
    fn new(graph: &'a Graph, stage: Rank, part: Part) -> Result<Self, ShardError> {
        let layers: u64 = graph.regions().iter().map(|r| part.layers(r)).sum();
        if stage.of > layers {
            return Err(ShardError::Stages { stages: stage.of, layers });
        }
        let own = layers * stage.index / stage.of..layers * (stage.index + 1) / stage.of;
        let (builder, made) = (Builder::new(), BTreeMap::new());
        Ok(Self { graph, part, own, layers, builder, made, handed: None })
    }
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
            _ if self.part == Part::Alike => false,
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
                    let end = before + self.part.layers(region);
                    before < end && before < self.own.end && self.own.start < end
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
        ahead.map(|r| self.part.layers(r)).sum()
    }

    fn receive(&mut self) {
        if self.is_first() {
            return;
        }
        let entries = self.graph.regions().iter().filter_map(|r| r.carry);
        let carried = entries.map(|c| self.graph.node(c.entry)).next();
        let ty = carried.map_or(TensorType::activation(Dim::Tokens, 1), |node| node.ty);
        self.handed = Some(self.builder.source("stage.x", Source::Input, ty));
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
        let end = before + self.part.layers(region);
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
