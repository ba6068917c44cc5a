//! Layers told apart: a rewrite that cuts repeated regions into stretches of layers that are alike.

use super::rewrite::Copy;
use super::{Carry, Graph, GraphError, NodeId, Region};
use std::ops::Range;

impl Graph {
    /// The graph with each repeated region cut where `key` of its layers changes between iterations.
    ///
    /// # Errors
    /// None for a graph that types.
    pub fn stretched<K: PartialEq>(&self, key: impl Fn(u64) -> K) -> Result<Self, GraphError> {
        let mut cut = Cut { copy: Copy::new(self) };
        for body in self.bodies() {
            let region = self.region(body[0]);
            match region.carry {
                None => body.iter().try_for_each(|&id| cut.copy.node(id))?,
                Some(carry) => {
                    for stretch in stretches(region, &key) {
                        cut.stretch(&body, region, carry, stretch)?;
                    }
                }
            }
        }
        Ok(cut.copy.finish())
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
    copy: Copy<'a>,
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
        let copy = &mut self.copy;
        let from = match iterations.start {
            0 => copy.operands(carry.entry)[0],
            _ => copy.made[&carry.back],
        };
        let count = iterations.end - iterations.start;
        copy.builder.first_layer(region.first_layer + iterations.start * region.layers);
        let entry = copy.builder.enter(region.name.clone(), count, region.layers, from);
        copy.made.insert(carry.entry, entry);
        for &id in body.iter().filter(|&&id| id != carry.entry) {
            self.copy.builder.layer(self.copy.graph.node(id).layer);
            self.copy.node(id)?;
        }
        self.copy.builder.leave(entry, self.copy.made[&carry.back])?;
        Ok(())
    }
}
