//! A model under a quantization scheme: its graphs, weights, activations and cache as values.

use crate::dtype::{Group, Scaled, Scheme, Storage};
use crate::exec::{Applied, Kernels};
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::mapping::{Formats, rewritten};
use crate::model::Graphs;
use crate::op::scalar::Scalar;
use crate::op::{Op, Operand, Target};
use crate::quantize::{
    Calibrations, Matrix, QuantizeError, Ragged, Recipe, Replaced, layers, rows, settle,
};
use crate::tensor::{Role, TensorName, TensorSource, TensorType, WeightKind};
use crate::weights::{WeightError, Weights};
use std::collections::{BTreeMap, BTreeSet};

/// Share of the difficulty that SmoothQuant moves from activations to weights (arXiv 2211.10438).
const SMOOTHING: f64 = 0.5;

/// A scheme that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SchemeError {
    /// A weight that cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// Activations with one scale that is known before, without a calibration.
    #[error(
        "activations with one scale known before (`-static`) need a calibration: the inputs of the \
         projections on sample tokens"
    )]
    Static,
}

/// Storage and scale of the activations that weights multiply, where they are known before (A123), by layer
/// and name of the weight.
type Known = BTreeMap<(Option<u64>, String), (Storage, f64)>;

/// A model's values under a scheme.
pub struct Schemed<'a, S> {
    graphs: Graphs,
    /// Names of weights, and what they become.
    parts: Vec<(BTreeSet<String>, Replaced<'a, S>)>,
    storages: BTreeMap<String, Storage>,
    known: Known,
}

impl<'a, S: Scalar> Schemed<'a, S> {
    /// The weights of `source` under a scheme; methods that need samples of activations take them from
    /// `calibrations`. Where activations are quantized and there are samples, SmoothQuant's scales are
    /// folded in first; where weights are AWQ's, its own.
    ///
    /// # Errors
    /// A method or static activations without samples, or a format without a codec.
    pub fn new(
        graphs: &Graphs,
        source: &'a dyn TensorSource<S>,
        scheme: &Scheme,
        calibrations: Option<&'a Calibrations>,
        ragged: Ragged,
    ) -> Result<Self, SchemeError> {
        let quantized = graphs.map(|graph| rewritten(graph, scheme).into_owned());
        let (mut parts, mut storages, mut seen) = (vec![], BTreeMap::new(), BTreeSet::new());
        let mut known = Known::new();
        for (_, graph) in quantized.parts() {
            let formats = Formats::new(graph, scheme);
            let names: BTreeSet<String> = graph
                .nodes()
                .filter(|(_, n)| matches!(n.kind, Kind::Source(Source::Weight)))
                .map(|(_, n)| n.name.clone())
                .collect();
            settled(graph, &formats, &mut storages);
            if calibrations.is_none() && static_activations(graph, &formats).next().is_some() {
                return Err(SchemeError::Static);
            }
            if names.is_subset(&seen) {
                continue;
            }
            // What a scheme that quantizes leaves plain stays as the model has it.
            let plain = |s: &Storage| matches!(s, Storage::Plain(_));
            let left = |s: &Storage| plain(s) && !plain(&scheme.weights);
            let stored = |id: NodeId, layer| formats.matrix_in(id, layer).filter(|s| !left(s));
            let mut recipe = Recipe::new(graph, &stored, calibrations);
            recipe.ragged = ragged;
            if calibrations.is_some() && scheme.quantizes_activations() {
                recipe.smooth(source, SMOOTHING)?;
            } else if calibrations.is_some() {
                recipe.scale_for_awq(source)?;
            }
            known.extend(scales(graph, &formats, &recipe)?);
            parts.push((names.clone(), recipe.replaced(source)?));
            seen.extend(names);
        }
        Ok(Self { graphs: quantized, parts, storages, known })
    }

    /// The graphs that run.
    pub const fn graphs(&self) -> &Graphs {
        &self.graphs
    }

    /// Kernels that round caches and activations as the scheme stores them.
    pub fn kernels<'k>(&'k self, kernels: &'k dyn Kernels<S>) -> Settled<'k, S> {
        Settled { kernels, storages: &self.storages, known: &self.known }
    }
}

/// Storages of the values that a scheme rounds as they come, by name of their node.
fn settled(graph: &Graph, formats: &Formats<'_>, storages: &mut BTreeMap<String, Storage>) {
    for (id, node) in graph.nodes() {
        let Kind::Apply(op) = &node.kind else { continue };
        let cached = matches!(node.ty.role, Role::KvCache { .. });
        if cached || matches!(op, Op::Quantize(_)) {
            let storage = formats.storages(id).first().map(|(storage, _)| *storage);
            let storage = storage.filter(Storage::is_scaled);
            storages.extend(storage.map(|s| (node.name.clone(), s)));
        }
    }
}

/// Projections whose activations have one scale that is known before, with their storage.
fn static_activations<'g>(
    graph: &'g Graph,
    formats: &'g Formats<'_>,
) -> impl Iterator<Item = (NodeId, Storage)> + 'g {
    let one = |s: &Storage| matches!(s, Storage::Scaled(Scaled { group: Group::Tensor, .. }));
    let projections = graph.nodes().map(|(id, _)| id).filter(|&id| graph.is_projection(id));
    projections.map(|id| (id, formats.scheme_of(id).activations)).filter(move |(_, s)| one(s))
}

/// The weight of a projection.
fn weight_of(graph: &Graph, projection: NodeId) -> Option<NodeId> {
    let weight = |o: &NodeId| graph.node(*o).ty.role == Role::Weight(WeightKind::Projection);
    graph.operands(projection).into_iter().find(weight)
}

/// The scales of a graph's activations that are known before.
fn scales(graph: &Graph, formats: &Formats<'_>, recipe: &Recipe<'_>) -> Result<Known, SchemeError> {
    let mut known = Known::new();
    for (projection, storage) in static_activations(graph, formats) {
        let weight = weight_of(graph, projection).expect("invariant: a projection has a weight");
        let name = &graph.node(weight).name;
        for layer in layers(graph, projection) {
            let scale = recipe.input_scale(TensorName { layer, name }, &storage);
            let scale = scale.ok_or_else(|| QuantizeError::Unseen { weight: name.clone() })?;
            known.insert((layer, name.clone()), (storage, scale));
        }
    }
    Ok(known)
}

impl<S: Scalar> Weights<S> for Schemed<'_, S> {
    fn weight(
        &self,
        name: TensorName<'_>,
        ty: &TensorType,
        rows: u64,
    ) -> Result<Vec<S>, WeightError> {
        let part = self.parts.iter().find(|(names, _)| names.contains(name.name));
        let (_, replaced) =
            part.ok_or_else(|| WeightError::Unnamed { weight: name.name.to_owned() })?;
        Ok(replaced.tensor(name, ty, rows as usize))
    }
}

/// Kernels whose caches and quantized activations are rounded.
pub struct Settled<'a, S> {
    kernels: &'a dyn Kernels<S>,
    storages: &'a BTreeMap<String, Storage>,
    known: &'a Known,
}

impl<S: Scalar> Settled<'_, S> {
    /// What a projection multiplies, rounded with the scale that is known before.
    fn rounded(&self, applied: &Applied<'_, S>) -> Option<Vec<S>> {
        if self.known.is_empty() || !applied.graph.is_projection(applied.id) {
            return None;
        }
        let weight = applied.graph.node(weight_of(applied.graph, applied.id)?);
        let (storage, scale) = self.known.get(&(applied.layer, weight.name.clone()))?;
        let x = &applied.operands[0];
        let values = x.dense().expect("invariant: only caches lie in pages");
        let values = Matrix::new(values, x.width());
        let done = rows(storage, values, Some(*scale));
        Some(done.expect("invariant: a scale that is known rounds"))
    }
}

impl<S: Scalar> Kernels<S> for Settled<'_, S> {
    fn reads(&self, graph: &Graph, id: NodeId) -> Vec<NodeId> {
        self.kernels.reads(graph, id)
    }

    fn skips(&self, graph: &Graph, id: NodeId) -> bool {
        self.kernels.skips(graph, id)
    }

    fn apply(&self, applied: &Applied<'_, S>, out: &mut Target<'_, S>) -> bool {
        let Some(values) = self.rounded(applied) else {
            return self.kernels.apply(applied, out);
        };
        let mut operands = applied.operands.to_vec();
        operands[0] = Operand::new(&values, operands[0].width());
        let applied = Applied { operands: &operands, ..*applied };
        if !self.kernels.apply(&applied, out) {
            applied.op.eval(applied.step, &operands, out);
        }
        true
    }

    fn settle(&self, graph: &Graph, id: NodeId, value: &mut [S]) {
        self.kernels.settle(graph, id, value);
        let node = graph.node(id);
        if let Some(storage) = self.storages.get(&node.name) {
            let done = settle(storage, &node.ty, None, value);
            done.expect("invariant: a scheme's storages have codecs");
        }
    }
}
