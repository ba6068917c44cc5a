//! A layer's graph on the arrays of a case, with the values of some nodes put in their place.

use crate::exec::{Applied, Fast, Kernels, run_with};
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::op::scalar::Scalar;
use crate::op::{Op, Operand, Target};
use crate::tensor::{Step, TensorName, TensorSource, TensorType};
use crate::validate::Inputs;
use std::collections::{BTreeMap, BTreeSet};

/// Values of nodes that a kernel has in place of the right ones.
pub(super) type Patches = Vec<(NodeId, Vec<f64>)>;

/// The elements of an array; none where the case has no such array, as a cache without rows.
fn given<'a>(inputs: &'a Inputs, name: &str) -> &'a [f64] {
    inputs.0.iter().find(|a| a.layout.name == name).map_or(&[], |a| &a.values)
}

/// Arrays by name, but for those that are patched or that nobody reads.
struct Arrays<'a> {
    inputs: &'a Inputs,
    patched: BTreeMap<&'a str, &'a [f64]>,
    idle: BTreeSet<&'a str>,
}

impl<S: Scalar> TensorSource<S> for Arrays<'_> {
    fn tensor(&self, name: TensorName<'_>, _: &TensorType, _: usize) -> Vec<S> {
        if self.idle.contains(name.name) {
            return vec![];
        }
        let values = self.patched.get(name.name).copied();
        let values = values.unwrap_or_else(|| given(self.inputs, name.name));
        values.iter().map(|&x| S::constant(x)).collect()
    }
}

/// Kernels that leave alone the nodes whose values are known.
struct Known<'a, S> {
    kernels: &'a dyn Kernels<S>,
    values: BTreeMap<NodeId, &'a [f64]>,
}

impl<S: Scalar> Kernels<S> for Known<'_, S> {
    fn reads(&self, graph: &Graph, id: NodeId) -> Vec<NodeId> {
        let known = self.values.contains_key(&id);
        if known { vec![] } else { self.kernels.reads(graph, id) }
    }

    fn skips(&self, graph: &Graph, id: NodeId) -> bool {
        self.kernels.skips(graph, id)
    }

    fn apply(&self, applied: &Applied<'_, S>, out: &mut Target<'_, S>) -> bool {
        let Some(values) = self.values.get(&applied.id) else {
            return self.kernels.apply(applied, out);
        };
        let width = applied.graph.node(applied.id).ty.width as usize;
        for (i, &value) in values.iter().enumerate() {
            out.set(i / width, i % width, S::constant(value));
        }
        true
    }

    fn settle(&self, graph: &Graph, id: NodeId, value: &mut [S]) {
        self.kernels.settle(graph, id, value);
    }
}

/// What the layer hands on, with some values in place of the right ones.
pub(super) fn run<S: Scalar>(
    (graph, step): (&Graph, &Step),
    inputs: &Inputs,
    kernels: &dyn Kernels<S>,
    patches: &Patches,
) -> Vec<f64> {
    let known = Known { kernels, values: known(graph, patches) };
    go(graph, step, arrays(graph, inputs, patches), &known)
}

fn go<S: Scalar>(
    graph: &Graph,
    step: &Step,
    arrays: Arrays<'_>,
    kernels: &dyn Kernels<S>,
) -> Vec<f64> {
    let mut values = run_with(graph, step, &arrays, (kernels, None), &|_| false);
    let out = values.outputs.pop().expect("invariant: a layer hands on a value");
    out.into_iter().map(Scalar::value).collect()
}

fn known<'a>(graph: &Graph, patches: &'a Patches) -> BTreeMap<NodeId, &'a [f64]> {
    let computed = patches.iter().filter(|(id, _)| graph.op(*id).is_some());
    computed.map(|(id, values)| (*id, values.as_slice())).collect()
}

fn arrays<'a>(graph: &'a Graph, inputs: &'a Inputs, patches: &'a Patches) -> Arrays<'a> {
    let given = patches.iter().filter(|(id, _)| graph.op(*id).is_none());
    let patched = given.map(|(id, values)| (graph.node(*id).name.as_str(), values.as_slice()));
    Arrays { inputs, patched: patched.collect(), idle: BTreeSet::new() }
}

/// The right values of all nodes in f64.
pub(super) struct Right<'a> {
    pub(super) graph: &'a Graph,
    pub(super) step: &'a Step,
    inputs: &'a Inputs,
    values: &'a BTreeMap<String, Vec<f64>>,
}

/// The right values of what is computed, by name.
pub(super) fn right(graph: &Graph, step: &Step, inputs: &Inputs) -> BTreeMap<String, Vec<f64>> {
    let computed: BTreeSet<&str> = graph
        .nodes()
        .filter(|(_, node)| matches!(node.kind, Kind::Apply(_)))
        .map(|(_, node)| node.name.as_str())
        .collect();
    let arrays = Arrays { inputs, patched: BTreeMap::new(), idle: BTreeSet::new() };
    let keep = |name: &str| computed.contains(name);
    let values = run_with::<f64>(graph, step, &arrays, (&Fast::naive(), None), &keep);
    values.kept.into_iter().map(|((_, name), values)| (name, values)).collect()
}

/// A value by name as kernels give it, where it is one that they hand on.
pub(super) fn rounded_values(
    (graph, step): (&Graph, &Step),
    inputs: &Inputs,
    kernels: &dyn Kernels<f32>,
    name: &str,
) -> BTreeMap<String, Vec<f64>> {
    let arrays = Arrays { inputs, patched: BTreeMap::new(), idle: BTreeSet::new() };
    let values = run_with(graph, step, &arrays, (kernels, None), &|n| n == name);
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    values.kept.into_iter().map(|((_, name), values)| (name, wide(values))).collect()
}

impl<'a> Right<'a> {
    pub(super) const fn new(
        (graph, step): (&'a Graph, &'a Step),
        inputs: &'a Inputs,
        values: &'a BTreeMap<String, Vec<f64>>,
    ) -> Self {
        Self { graph, step, inputs, values }
    }

    /// The value of a node.
    pub(super) fn of(&self, id: NodeId) -> &'a [f64] {
        match &self.graph.node(id).kind {
            Kind::Apply(_) => self.values.get(&self.graph.node(id).name).map_or(&[], Vec::as_slice),
            Kind::Carry => self.of(self.graph.operands(id)[0]),
            Kind::Source(_) => given(self.inputs, &self.graph.node(id).name),
        }
    }

    /// Elements of a row of a node's value.
    pub(super) fn width(&self, id: NodeId) -> usize {
        self.graph.node(id).ty.width as usize
    }

    /// Another operator in a node's place, on some values of that many elements a row.
    pub(super) fn apply(&self, id: NodeId, op: &Op, operands: &[(&[f64], usize)]) -> Vec<f64> {
        let mut out = vec![0.0; self.of(id).len()];
        let operands: Vec<_> = operands.iter().map(|&(v, width)| Operand::new(v, width)).collect();
        op.eval(self.step, &operands, &mut Target::new(&mut out, self.width(id)));
        out
    }

    /// What the layer hands on in f64 with some values in place of the right ones: only what depends on them
    /// is computed.
    pub(super) fn with(&self, patches: &Patches) -> Vec<f64> {
        let graph = self.graph;
        let mut values = known(graph, patches);
        let mut wrong: BTreeSet<NodeId> = patches.iter().map(|(id, _)| *id).collect();
        for (id, node) in graph.nodes() {
            if wrong.contains(&id) {
                continue;
            }
            if graph.operands(id).iter().any(|o| wrong.contains(o)) {
                wrong.insert(id);
            } else if matches!(node.kind, Kind::Apply(_)) {
                values.insert(id, self.of(id));
            }
        }
        let mut arrays = arrays(graph, self.inputs, patches);
        let kept = |kind: &Kind| matches!(kind, Kind::Source(Source::Weight | Source::Cache));
        let unread = |id| graph.readers(id).iter().all(|reader| values.contains_key(reader));
        let idle = graph.nodes().filter(|(id, node)| kept(&node.kind) && unread(*id));
        arrays.idle = idle.map(|(_, node)| node.name.as_str()).collect();
        go::<f64>(graph, self.step, arrays, &Known { kernels: &Fast::naive(), values })
    }
}
