//! One layer of a stack as a graph of its own.

use super::rewrite::Copy;
use super::{Graph, GraphError, Kind, NodeId, Region, Source};

/// A layer of a graph.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its nodes, and outside them what it reads from outside the stack. It is entered with an input of
    /// [`Layer::ENTRY`], numbered as in the stack, and returns what it hands on.
    pub graph: Graph,
    /// The node of the whole graph that it is entered with: its layer and its name there.
    pub entered: (u64, String),
}

impl Layer {
    /// Name of the value that the layer is entered with, `[T, hidden]`.
    pub const ENTRY: &'static str = "x";
}

impl Graph {
    /// A layer of the stack, counted from 0; `None` where the stack has fewer.
    ///
    /// # Errors
    /// None for a graph that types.
    pub fn layer(&self, layer: u64) -> Result<Option<Layer>, GraphError> {
        let holds =
            |r: &Region| (r.first_layer..r.first_layer + r.count * r.layers).contains(&layer);
        let bodies = self.bodies();
        let body = bodies.iter().find(|body| {
            let region = self.region(body[0]);
            region.is_stack() && holds(region)
        });
        body.map(|body| Cut::new(self, body, layer).made()).transpose()
    }
}

/// A layer in the making.
struct Cut<'a> {
    copy: Copy<'a>,
    body: &'a [NodeId],
    layer: u64,
    /// Which layer of the body it is.
    place: u64,
}

impl<'a> Cut<'a> {
    fn new(graph: &'a Graph, body: &'a [NodeId], layer: u64) -> Self {
        let region = graph.region(body[0]);
        let place = (layer - region.first_layer) % region.layers;
        Self { copy: Copy::new(graph), body, layer, place }
    }

    fn made(mut self) -> Result<Layer, GraphError> {
        let graph = self.copy.graph;
        let region = graph.region(self.body[0]);
        let carry = region.carry.expect("invariant: a stack carries a value");
        let own: Vec<NodeId> = self.body.iter().copied().filter(|&id| self.is_own(id)).collect();
        let entry = self.handed_on(self.place).unwrap_or(carry.entry);
        for outside in self.outside(&own) {
            self.copy.node(outside)?;
        }
        let x = self.copy.builder.source(Layer::ENTRY, Source::Input, graph.node(entry).ty);
        self.copy.builder.first_layer(self.layer);
        let inside = self.copy.builder.enter(region.name.clone(), 1, 1, x);
        self.copy.made.insert(entry, inside);
        for &id in &own {
            self.copy.node(id)?;
        }
        let back = self.handed_on(self.place + 1).unwrap_or(carry.back);
        let back = self.copy.builder.leave(inside, self.copy.made[&back])?;
        let from = if self.place == 0 { self.layer } else { self.layer - 1 };
        let entered = (from, graph.node(entry).name.clone());
        Ok(Layer { graph: self.copy.builder.finish(&[back], &graph.fusions), entered })
    }

    /// Whether a node of the body is of the layer; what the body carries is nobody's.
    fn is_own(&self, id: NodeId) -> bool {
        let node = self.copy.graph.node(id);
        node.layer == self.place && node.kind != Kind::Carry
    }

    /// What the layer of the body before this one hands to it; `None` for the first, and behind the last.
    fn handed_on(&self, place: u64) -> Option<NodeId> {
        let graph = self.copy.graph;
        let inside = |id: &NodeId| graph.node(*id).region == graph.node(self.body[0]).region;
        let of = self.body.iter().filter(|&&id| graph.node(id).layer == place);
        let reads = of.flat_map(|&id| graph.operands(id)).filter(inside);
        reads.into_iter().find(|&id| {
            let node = graph.node(id);
            node.layer < place && node.kind != Kind::Carry
        })
    }

    /// What the layer needs from outside its region, in order of execution.
    fn outside(&self, own: &[NodeId]) -> Vec<NodeId> {
        let graph = self.copy.graph;
        let region = graph.node(self.body[0]).region;
        let mut found = std::collections::BTreeSet::new();
        let mut open: Vec<NodeId> = own.iter().flat_map(|&id| graph.operands(id)).collect();
        while let Some(id) = open.pop() {
            if graph.node(id).region != region && found.insert(id) {
                open.extend(graph.operands(id));
            }
        }
        found.into_iter().collect()
    }
}
