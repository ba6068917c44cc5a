//! The reference executor: runs the same graph that the cost model prices.
//!
//! Operators run in their defining form, one after the other; fusions change nothing. With the
//! counting scalar ([`crate::op::meter::Metered`]) a run of a whole model is metered.

use crate::graph::{Graph, Kind, NodeId, Region, Source};
use crate::op::scalar::Scalar;
use crate::op::{Op, Operand, Target};
use crate::tensor::{Role, Step, TensorName, TensorSource};
use std::collections::BTreeMap;

/// What a step returns.
#[derive(Debug, Clone, PartialEq)]
pub struct Values<S> {
    /// The graph's outputs, in order.
    pub outputs: Vec<Vec<S>>,
    /// Every named value that was asked to be kept, and the KV cache after the step, by layer and
    /// name of the node.
    pub kept: BTreeMap<(Option<u64>, String), Vec<S>>,
}

/// Runs one step of a graph; `keep` names the nodes whose values are returned beside the cache.
pub fn run<S: Scalar>(
    graph: &Graph,
    step: &Step,
    source: &dyn TensorSource<S>,
    keep: &dyn Fn(&str) -> bool,
) -> Values<S> {
    let mut run = Run { graph, step, source, keep, values: BTreeMap::new(), kept: BTreeMap::new() };
    let nodes: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    // Nodes of a region lie together, in order of execution.
    for body in nodes.chunk_by(|a, b| graph.node(*a).region == graph.node(*b).region) {
        let region = graph.region(body[0]);
        for iteration in 0..region.count {
            run.iteration(body, region, iteration);
        }
    }
    let outputs = graph.outputs().iter().filter_map(|o| run.values.remove(o)).collect();
    Values { outputs, kept: run.kept }
}

struct Run<'a, S> {
    graph: &'a Graph,
    step: &'a Step,
    source: &'a dyn TensorSource<S>,
    keep: &'a dyn Fn(&str) -> bool,
    values: BTreeMap<NodeId, Vec<S>>,
    kept: BTreeMap<(Option<u64>, String), Vec<S>>,
}

impl<S: Scalar> Run<'_, S> {
    fn iteration(&mut self, body: &[NodeId], region: &Region, iteration: u64) {
        for &id in body {
            let node = self.graph.node(id);
            let layer =
                region.carry.map(|_| region.first_layer + iteration * region.layers + node.layer);
            let value = match &node.kind {
                Kind::Source(Source::Weight | Source::Input | Source::Cache) => {
                    let rows = node.ty.rows.extent(self.step) as usize;
                    let name = TensorName { layer, name: &node.name };
                    self.source.tensor(name, &node.ty, rows)
                }
                Kind::Carry => self.carried(id, region, iteration),
                Kind::Apply(op) => self.apply(id, op),
            };
            let is_cache =
                matches!(node.kind, Kind::Apply(_)) && matches!(node.ty.role, Role::KvCache { .. });
            if is_cache || (self.keep)(&node.name) {
                self.kept.insert((layer, node.name.clone()), value.clone());
            }
            self.values.insert(id, value);
        }
    }

    /// The outside value in the first iteration, then the body's result of the one before.
    fn carried(&self, id: NodeId, region: &Region, iteration: u64) -> Vec<S> {
        let outside = self.graph.operands(id)[0];
        let from = match region.carry {
            Some(carry) if iteration > 0 => carry.back,
            _ => outside,
        };
        self.values[&from].clone()
    }

    fn apply(&self, id: NodeId, op: &Op) -> Vec<S> {
        let operands = self.graph.operands(id);
        let views: Vec<Operand<'_, S>> = operands
            .iter()
            .map(|o| Operand::new(&self.values[o], self.graph.node(*o).ty.width as usize))
            .collect();
        let ty = self.graph.node(id).ty;
        let mut out = vec![S::constant(0.0); ty.elements(self.step) as usize];
        op.eval(self.step, &views, &mut Target::new(&mut out, ty.width as usize));
        out
    }
}
