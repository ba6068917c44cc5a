//! Layers told apart: a rewrite that cuts repeated regions into stretches of layers that are alike.

use super::{Builder, Carry, Graph, GraphError, Kind, NodeId, Region};
use std::collections::BTreeMap;
use std::ops::Range;

impl Graph {
    /// The graph with each repeated region cut where `key` of its layers changes between iterations.
    ///
    /// # Errors
    /// None for a graph that types.
    pub fn stretched<K: PartialEq>(&self, key: impl Fn(u64) -> K) -> Result<Self, GraphError> {
        let mut cut = Cut { graph: self, builder: Builder::new(), made: BTreeMap::new() };
        let nodes: Vec<NodeId> = self.nodes().map(|(id, _)| id).collect();
        for body in nodes.chunk_by(|a, b| self.node(*a).region == self.node(*b).region) {
            let region = self.region(body[0]);
            match region.carry {
                None => body.iter().try_for_each(|&id| cut.copy(id))?,
                Some(carry) => {
                    for stretch in stretches(region, &key) {
                        cut.stretch(body, region, carry, stretch)?;
                    }
                }
            }
        }
        let outputs: Vec<NodeId> = self.outputs.iter().map(|o| cut.made[o]).collect();
        Ok(cut.builder.finish(&outputs, &self.fusions))
    }
}

/// Iterations of a region that are alike, one stretch behind the other.
fn stretches<K: PartialEq>(region: &Region, key: impl Fn(u64) -> K) -> Vec<Range<u64>> {
    let keys = |iteration: u64| -> Vec<K> {
        let first = region.first_layer + iteration * region.layers;
        (first..first + region.layers).map(&key).collect()
    };
    let mut found: Vec<Range<u64>> = vec![];
    for iteration in 0..region.count {
        match found.last_mut() {
            Some(last) if keys(last.start) == keys(iteration) => last.end = iteration + 1,
            _ => found.push(iteration..iteration + 1),
        }
    }
    found
}

struct Cut<'a> {
    graph: &'a Graph,
    builder: Builder,
    made: BTreeMap<NodeId, NodeId>,
}

impl Cut<'_> {
    /// The iterations of a stretch as a region of their own; enters with what those before hand on.
    fn stretch(
        &mut self,
        body: &[NodeId],
        region: &Region,
        carry: Carry,
        iterations: Range<u64>,
    ) -> Result<(), GraphError> {
        let from = if iterations.start == 0 {
            self.made[&self.graph.operands(carry.entry)[0]]
        } else {
            self.made[&carry.back]
        };
        let count = iterations.end - iterations.start;
        self.builder.first_layer(region.first_layer + iterations.start * region.layers);
        let entry = self.builder.enter(region.name.clone(), count, region.layers, from);
        self.made.insert(carry.entry, entry);
        for &id in body.iter().filter(|&&id| id != carry.entry) {
            self.builder.layer(self.graph.node(id).layer);
            self.copy(id)?;
        }
        self.builder.leave(entry, self.made[&carry.back])?;
        Ok(())
    }

    fn copy(&mut self, id: NodeId) -> Result<(), GraphError> {
        let node = self.graph.node(id);
        let made = match &node.kind {
            Kind::Source(source) => self.builder.source(node.name.clone(), *source, node.ty),
            Kind::Carry => return Ok(()),
            Kind::Apply(op) => {
                let operands = self.graph.operands(id);
                let operands: Vec<NodeId> = operands.iter().map(|o| self.made[o]).collect();
                self.builder.apply(node.name.clone(), op.clone(), &operands)?
            }
        };
        self.made.insert(id, made);
        Ok(())
    }
}
