//! A model under a quantization scheme: its graphs, weights, activations and cache as values.

use crate::dtype::{Scheme, Storage};
use crate::exec::{Applied, Kernels};
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::mapping::{Formats, rewritten};
use crate::model::Graphs;
use crate::op::scalar::Scalar;
use crate::op::{Op, Target};
use crate::quantize::{Calibrations, QuantizeError, Ragged, Recipe, Replaced, settle};
use crate::tensor::{Role, TensorName, TensorSource, TensorType};
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
    /// Activations with one scale that is known before.
    #[error("activations with one scale known before (`-static`) are priced, but not run")]
    Static,
}

/// A model's values under a scheme.
pub struct Schemed<'a, S> {
    graphs: Graphs,
    /// Names of weights, and what they become.
    parts: Vec<(BTreeSet<String>, Replaced<'a, S>)>,
    storages: BTreeMap<String, Storage>,
}

impl<'a, S: Scalar> Schemed<'a, S> {
    /// The weights of `source` under a scheme; methods that need samples of activations take them from
    /// `calibrations`. Where activations are quantized and there are samples, SmoothQuant's scales are
    /// folded in first; where weights are AWQ's, its own.
    ///
    /// # Errors
    /// A method without samples, a format without a codec, or static activations.
    pub fn new(
        graphs: &Graphs,
        source: &'a dyn TensorSource<S>,
        scheme: &Scheme,
        calibrations: Option<&'a Calibrations>,
        ragged: Ragged,
    ) -> Result<Self, SchemeError> {
        let quantized = graphs.map(|graph| rewritten(graph, scheme).into_owned());
        let (mut parts, mut storages, mut known) = (vec![], BTreeMap::new(), BTreeSet::new());
        for (_, graph) in quantized.parts() {
            let formats = Formats::new(graph, scheme);
            let names: BTreeSet<String> = graph
                .nodes()
                .filter(|(_, n)| matches!(n.kind, Kind::Source(Source::Weight)))
                .map(|(_, n)| n.name.clone())
                .collect();
            settled(graph, &formats, &mut storages)?;
            if names.is_subset(&known) {
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
            parts.push((names.clone(), recipe.replaced(source)?));
            known.extend(names);
        }
        Ok(Self { graphs: quantized, parts, storages })
    }

    /// The graphs that run.
    pub const fn graphs(&self) -> &Graphs {
        &self.graphs
    }

    /// Kernels that round caches and activations as the scheme stores them.
    pub fn kernels<'k>(&'k self, kernels: &'k dyn Kernels<S>) -> Settled<'k, S> {
        Settled { kernels, storages: &self.storages }
    }
}

/// Storages of the values that a scheme rounds as they come, by name of their node.
fn settled(
    graph: &Graph,
    formats: &Formats<'_>,
    storages: &mut BTreeMap<String, Storage>,
) -> Result<(), SchemeError> {
    for (id, node) in graph.nodes() {
        let Kind::Apply(op) = &node.kind else { continue };
        let cached = matches!(node.ty.role, Role::KvCache { .. });
        if cached || matches!(op, Op::Quantize(_)) {
            let storage = formats.storages(id).first().map(|(storage, _)| *storage);
            let storage = storage.filter(Storage::is_scaled);
            storages.extend(storage.map(|s| (node.name.clone(), s)));
        } else if graph.is_projection(id) {
            let quantized = |o: &NodeId| matches!(graph.op(*o), Some(Op::Quantize(_)));
            let scaled = formats.scheme_of(id).activations.is_scaled();
            if scaled && !graph.operands(id).iter().any(quantized) {
                return Err(SchemeError::Static);
            }
        }
    }
    Ok(())
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
}

impl<S: Scalar> Kernels<S> for Settled<'_, S> {
    fn reads(&self, graph: &Graph, id: NodeId) -> Vec<NodeId> {
        self.kernels.reads(graph, id)
    }

    fn skips(&self, graph: &Graph, id: NodeId) -> bool {
        self.kernels.skips(graph, id)
    }

    fn apply(&self, applied: &Applied<'_, S>, out: &mut Target<'_, S>) -> bool {
        self.kernels.apply(applied, out)
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
