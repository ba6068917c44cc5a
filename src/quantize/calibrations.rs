//! Calibrations of a whole model: which activation each weight multiplies, and what was seen of it.

use super::calibration::Calibration;
use super::matrix::Matrix;
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::op::Op;
use crate::op::scalar::Scalar;
use crate::tensor::{Role, TensorName, WeightKind};
use std::collections::BTreeMap;

/// Layer and name of a value.
pub(super) type Key = (Option<u64>, String);

/// An activation that weights multiply, in one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Layer; `None` outside of layers.
    pub layer: Option<u64>,
    /// Name of the activation, before it is quantized.
    pub activation: String,
    /// Its channels (K).
    pub width: usize,
    /// Names of the weights `[outputs, K]` that read it.
    pub weights: Vec<String>,
}

/// The layers of a node, one for each iteration of its region.
pub fn layers(graph: &Graph, id: NodeId) -> Vec<Option<u64>> {
    let (node, region) = (graph.node(id), graph.region(id));
    if region.carry.is_none() {
        return vec![None];
    }
    let layer = |i| Some(region.first_layer + i * region.layers + node.layer);
    (0..region.count).map(layer).collect()
}

/// The weight that a product multiplies by, where it is a matrix of the model.
pub(super) fn weight_of(graph: &Graph, product: NodeId) -> Option<NodeId> {
    let place = match graph.op(product)? {
        Op::MatMul(_) => 1,
        Op::GroupedMatMul(_) => 2,
        _ => return None,
    };
    let weight = graph.operands(product).get(place).copied()?;
    matches!(graph.node(weight).kind, Kind::Source(Source::Weight)).then_some(weight)
}

/// The value that a product multiplies, seen through its quantization.
pub(super) fn input_of(graph: &Graph, product: NodeId) -> Option<NodeId> {
    let first = graph.operands(product).first().copied()?;
    match graph.op(first) {
        Some(Op::Quantize(_)) => graph.operands(first).first().copied(),
        _ => Some(first),
    }
}

/// Every activation that projections and the head multiply, by layer.
pub fn inputs(graph: &Graph) -> Vec<Input> {
    let mut found: BTreeMap<(Option<u64>, NodeId), Vec<String>> = BTreeMap::new();
    for (id, _) in graph.nodes() {
        let (Some(weight), Some(input)) = (weight_of(graph, id), input_of(graph, id)) else {
            continue;
        };
        let weight = graph.node(weight);
        let quantized = [WeightKind::Projection, WeightKind::Head, WeightKind::Embedding];
        if !quantized.iter().any(|kind| weight.ty.role == Role::Weight(*kind)) {
            continue;
        }
        for layer in layers(graph, id) {
            found.entry((layer, input)).or_default().push(weight.name.clone());
        }
    }
    let input = |((layer, id), weights): ((Option<u64>, NodeId), Vec<String>)| {
        let node = graph.node(id);
        Input { layer, activation: node.name.clone(), width: node.ty.width as usize, weights }
    };
    found.into_iter().map(input).collect()
}

/// What was seen of the inputs of a model's weights (A101).
#[derive(Debug, Clone, Default)]
pub struct Calibrations {
    seen: BTreeMap<Key, Calibration>,
    of_weight: BTreeMap<Key, Key>,
}

impl Calibrations {
    /// Nothing seen yet of those inputs, all of [`inputs`] for instance; `8 K^2` bytes each.
    pub fn new(inputs: &[Input]) -> Self {
        let mut new = Self::default();
        for input in inputs {
            let key = (input.layer, input.activation.clone());
            for weight in &input.weights {
                new.of_weight.insert((input.layer, weight.clone()), key.clone());
            }
            new.seen.insert(key, Calibration::new(input.width));
        }
        new
    }

    /// Whether the values of a node are wanted: the `keep` of [`crate::exec::run`].
    pub fn wants(&self, name: &str) -> bool {
        self.seen.keys().any(|(_, wanted)| wanted == name)
    }

    /// Takes the kept values of a run into account; others are passed over.
    pub fn observe<S: Scalar>(&mut self, kept: &BTreeMap<Key, Vec<S>>) {
        for (key, seen) in &mut self.seen {
            if let Some(values) = kept.get(key) {
                let columns = seen.columns();
                seen.observe(Matrix::new(values, columns));
            }
        }
    }

    /// What was seen of an activation.
    pub fn of_activation(&self, layer: Option<u64>, name: &str) -> Option<&Calibration> {
        self.seen.get(&(layer, name.to_owned()))
    }

    /// What was seen of the inputs of a weight.
    pub fn of_weight(&self, weight: TensorName<'_>) -> Option<&Calibration> {
        let key = self.of_weight.get(&(weight.layer, weight.name.to_owned()))?;
        self.seen.get(key)
    }
}
