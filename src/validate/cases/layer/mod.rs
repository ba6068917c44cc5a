//! Cases of a whole layer of a model, on the model's weights.
//!
//! Its truth is the layer's part of the model's graph. Its known bugs are those of its operators, each at its
//! place ([`parts`]), and those of how they are put together ([`wiring`]).

mod execute;
mod parts;
mod routes;
#[cfg(test)]
mod tests;
mod tolerance;
mod wiring;
mod words;

use super::dtype::Dtype;
use super::random::Random;
use crate::exec::{Fast, Kernels, Rounded};
use crate::graph::{Graph, Kind, Layer, Node, Source};
use crate::model::{Architecture, AttentionKernel, BuildOptions, FusionSet};
use crate::tensor::{Phase, Role, Step, StepError, WeightKind};
use crate::validate::case::sizes;
use crate::validate::{Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Usual};
use execute::{Right, right, run};
use parts::{Part, parts};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};
use wiring::WRONG;

/// A layer of a model on new tokens at the end of sequences, as `case.yaml` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerKeys {
    /// File of the model, beside this one
    pub model: String,
    /// Which layer, from 0
    pub layer: u64,
    /// It is one of the encoder's
    #[serde(default)]
    pub encoder: bool,
    /// Sequences
    pub batch: u64,
    /// New tokens of a sequence
    pub seq: u64,
    /// Tokens of a sequence that are cached
    #[serde(default)]
    pub cached: u64,
    /// Positions that the encoder kept of a sequence
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<u64>,
    /// Format of the arrays, and of what the layer's kernels hand on
    pub dtype: Dtype,
}

impl LayerKeys {
    /// The phase that runs the layer.
    pub const fn phase(&self) -> Phase {
        match self.cached {
            _ if self.encoder => Phase::Encode,
            0 => Phase::Prefill,
            _ => Phase::Decode,
        }
    }

    const fn tokens(&self) -> u64 {
        self.batch * self.seq
    }

    fn checked_step(&self) -> Result<Step, StepError> {
        if self.encoder {
            return Step::encode(self.batch, self.seq);
        }
        let step = Step::chunked(self.batch, self.seq, self.cached)?;
        self.source.map_or(Ok(step.clone()), |source| step.with_source(source))
    }

    fn step(&self) -> Step {
        self.checked_step().expect("invariant: a checked case has a step")
    }
}

/// A layer with its arrays.
#[derive(Debug, Clone)]
pub struct LayerCase {
    keys: LayerKeys,
    name: String,
    layer: Layer,
    /// The same without fusions: every operator hands on.
    eager: Graph,
    inputs: Inputs,
}

/// Most elements of a layer's weights: 4 GiB in f64.
const LARGEST: f64 = 536_870_912.0;

impl LayerCase {
    /// The layer of a model, without its arrays.
    ///
    /// # Errors
    /// A layer that the model has not, or sizes that make no case.
    pub fn new(arch: &Architecture, keys: LayerKeys) -> Result<Self, CaseError> {
        let named = [("batch", keys.batch), ("seq", keys.seq)];
        sizes(&named, 1.0)?;
        sizes(&[("cached", keys.cached.max(1)), ("source", keys.source.unwrap_or(1))], 1.0)?;
        keys.checked_step()?;
        let number = |why: String| Err(CaseError::Number(why));
        match (arch.encoder, keys.source) {
            (None, _) if keys.encoder => return number("the model has no encoder".to_owned()),
            (Some(_), None) if !keys.encoder => {
                return number("the model attends to an encoder; source is missing".to_owned());
            }
            (None, Some(_)) => {
                return number("the model has no encoder to keep positions".to_owned());
            }
            _ => {}
        }
        let plain = BuildOptions {
            attention: AttentionKernel::Naive,
            fusions: FusionSet::None,
            ..BuildOptions::default()
        };
        let [layer, eager] = [BuildOptions::default(), plain].map(|options| {
            let typed = "invariant: the graphs of a checked model type";
            let graphs = arch.graphs(&options).expect(typed);
            graphs.of(keys.phase()).and_then(|graph| graph.layer(keys.layer).expect(typed))
        });
        let (Some(layer), Some(eager)) = (layer, eager) else {
            let why = format!("layer {} is beyond the model's last", keys.layer);
            return Err(CaseError::Number(why));
        };
        let (name, eager) = (arch.name.clone(), eager.graph);
        let case = Self { keys, name, layer, eager, inputs: Inputs::default() };
        case.checked_size()?;
        Ok(case)
    }

    fn checked_size(&self) -> Result<(), CaseError> {
        let weights: f64 = self.layouts().iter().map(|l| l.elements() as f64).sum();
        if weights > LARGEST {
            let why = format!("the layer's arrays have {weights} elements, more than {LARGEST}");
            return Err(CaseError::Number(why));
        }
        sizes(&[], weights * self.keys.tokens() as f64)
    }

    /// The same with its arrays.
    #[must_use]
    pub fn with(self, inputs: Inputs) -> Self {
        Self { inputs, ..self }
    }

    /// The layer's graph, and where in the model's it is entered.
    pub const fn layer(&self) -> &Layer {
        &self.layer
    }

    /// What the case is.
    pub const fn keys(&self) -> &LayerKeys {
        &self.keys
    }

    /// The arrays that the layer reads: what enters it, its weights, its caches.
    pub fn layouts(&self) -> Vec<Layout> {
        let sources = self.layer.graph.nodes().filter_map(|(_, node)| match node.kind {
            Kind::Source(source) => Some(self.layout(node, source)),
            Kind::Carry | Kind::Apply(_) => None,
        });
        let mut all: Vec<Layout> = sources.filter(|layout| layout.elements() > 0).collect();
        // What enters the layer first.
        all.sort_by_key(|layout| layout.name != Layer::ENTRY);
        all
    }

    fn layout(&self, node: &Node, source: Source) -> Layout {
        let LayerKeys { batch, seq, .. } = self.keys;
        let (rows, width) = (node.ty.rows.extent(&self.keys.step()) as u64, node.ty.width);
        let (says, axes): (&str, Vec<(&'static str, u64)>) = match (source, node.ty.role) {
            (Source::Input, _) => {
                let axes = vec![("sequence", batch), ("token", seq), ("element", width)];
                ("what enters the layer", axes)
            }
            (Source::Cache, _) => {
                let axes =
                    vec![("sequence", batch), ("position", rows / batch), ("element", width)];
                ("cached rows", axes)
            }
            (Source::Weight, Role::Weight(WeightKind::Norm)) => ("gain", vec![("element", width)]),
            (Source::Weight, Role::Weight(WeightKind::Bias)) if rows == 1 => {
                ("bias", vec![("element", width)])
            }
            (Source::Weight, Role::Weight(WeightKind::Bias)) => {
                ("bias of each expert", vec![("expert", rows), ("element", width)])
            }
            (Source::Weight, Role::Weight(WeightKind::Position)) => {
                ("table", vec![("row", rows), ("head", width)])
            }
            (Source::Weight, _) => ("weight", vec![("output", rows), ("input", width)]),
        };
        Layout::new(&node.name, says, axes, self.keys.dtype.stored())
    }

    /// Random arrays: weights that keep the size of what they are applied to, all else around 1.
    pub fn random(&self, seed: u64) -> Inputs {
        let mut random = Random::new(seed);
        let array = |layout: Layout| match layout.says {
            "gain" => random.scaled(layout, 1.0, 0.3),
            "bias" | "bias of each expert" => random.scaled(layout, 0.0, 0.3),
            "weight" => {
                let deviation = 1.0 / (layout.width() as f64).sqrt();
                random.scaled(layout, 0.0, deviation)
            }
            _ => random.array(layout),
        };
        Inputs(self.layouts().into_iter().map(array).collect())
    }

    fn kernel(&self, fast: Fast) -> Rounded<Fast> {
        Rounded::new(fast, self.keys.dtype.float())
    }

    /// What a kernel of the case's precision gives under some graph and kernels.
    fn emulated(&self, graph: &Graph, fast: Fast, inputs: &Inputs) -> Outputs {
        vec![run::<f32>((graph, &self.keys.step()), inputs, &self.kernel(fast), &vec![])]
    }

    /// The bug of an operator of the layer, or of its wiring.
    fn mutant<'a>(
        &'a self,
        (name, says): (&'static str, &'static str),
        form: Option<String>,
        clean: &Arc<OnceLock<Clean>>,
        patches: impl Fn(&Right<'_>) -> execute::Patches + Send + Sync + 'a,
    ) -> Mutant<'a> {
        let clean = Arc::clone(clean);
        let run = move |inputs: &Inputs, precision: Precision| {
            let (graph, step) = (&self.layer.graph, self.keys.step());
            let values = clean.get_or_init(|| right(graph, &step, inputs));
            let right = Right::new((graph, &step), inputs, values);
            let patches = patches(&right);
            vec![match precision {
                Precision::Exact => right.with(&patches),
                Precision::Kernel => {
                    let kernels = self.kernel(Fast::naive());
                    run::<f32>((graph, &step), inputs, &kernels as &dyn Kernels<f32>, &patches)
                }
            }]
        };
        Mutant { form, ..Mutant::new(name, says, run) }
    }
}

type Clean = std::collections::BTreeMap<String, Vec<f64>>;

impl Case for LayerCase {
    fn check(&self) -> Result<(), CaseError> {
        self.checked_size()
    }

    fn title(&self) -> String {
        let LayerKeys { layer, encoder, batch, seq, cached, dtype, .. } = &self.keys;
        let part = if *encoder { "encoder layer" } else { "layer" };
        let behind = if *cached > 0 { format!(" behind {cached}") } else { String::new() };
        format!("{part} {layer} of {}, {seq} tokens{behind}, batch {batch}, {dtype}", self.name)
    }

    fn conventions(&self) -> Vec<String> {
        let mut lines = vec![
            "A weight has a row for each output: y = x w^T.".to_owned(),
            format!("Token i of a sequence is at position {} + i.", self.keys.cached),
            "The layer hands on what its last operator gives. Its operators in order, by their names in the \
             graph of model.yaml:"
                .to_owned(),
        ];
        lines.extend(words::operators(&self.layer.graph, &self.keys));
        if self.keys.cached > 0 {
            lines.push("Cached keys are rotated where the model rotates keys.".to_owned());
        }
        let open: Vec<String> =
            routes::open(self, &self.inputs).iter().map(|row| (row + 1).to_string()).collect();
        if !open.is_empty() {
            lines.push(format!(
                "Rounding decides which experts some tokens have; the default policy does not judge \
                 those: number {}.",
                open.join(", ")
            ));
        }
        lines
    }

    fn is_on_files(&self) -> bool {
        true
    }

    fn inputs(&self) -> Inputs {
        self.inputs.clone()
    }

    fn outputs(&self) -> Vec<Output> {
        let width = self.layer.graph.node(self.layer.graph.outputs()[0]).ty.width;
        let axes = [("sequence", self.keys.batch), ("token", self.keys.seq), ("element", width)];
        let layout = Layout::new("out", "what the layer hands on", axes, self.keys.dtype.stored());
        vec![Output { layout, discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        let graph = &self.layer.graph;
        match precision {
            Precision::Exact => {
                vec![run::<f64>((graph, &self.keys.step()), inputs, &Fast::naive(), &vec![])]
            }
            Precision::Kernel => self.emulated(graph, Fast::default(), inputs),
        }
    }

    /// Without fusions, and with other tiles of keys.
    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        vec![
            self.emulated(&self.eager, Fast::naive(), inputs),
            self.emulated(&self.layer.graph, Fast::flash(32), inputs),
        ]
    }

    /// By the size of each element (A114): hidden states of real models have tokens and elements a thousand
    /// times larger than others.
    fn tolerance(&self, inputs: &Inputs, right: &[&[f64]], truth: &[f64]) -> Option<Vec<f64>> {
        let open = routes::open(self, inputs);
        Some(tolerance::by_size(&self.outputs()[0].layout, &open, right, truth))
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        let clean = Arc::new(OnceLock::new());
        let graph = &self.layer.graph;
        let mut mutants = vec![];
        for part in parts(graph, &self.keys).into_iter().map(Arc::new) {
            mutants.extend(self.of_part(&part, &clean));
        }
        for wrong in WRONG {
            for place in (wrong.places)(graph) {
                let patches = move |right: &Right<'_>| (wrong.values)(right, &place.nodes);
                let named = (wrong.name, wrong.says);
                mutants.push(self.mutant(named, place.form, &clean, patches));
            }
        }
        mutants
    }

    fn usual(&self) -> Usual {
        Usual { nmse: 2e-3, ..Usual::PLAIN }
    }
}

impl LayerCase {
    fn of_part<'a>(&'a self, part: &Arc<Part>, clean: &Arc<OnceLock<Clean>>) -> Vec<Mutant<'a>> {
        let bugs = part.case().mutants();
        let bugs = bugs.into_iter().enumerate().map(|(bug, of)| {
            let forms: Vec<String> = [part.form.clone(), of.form].into_iter().flatten().collect();
            let form = (!forms.is_empty()).then(|| forms.join(", "));
            let part = Arc::clone(part);
            let patches = move |right: &Right<'_>| part.wrong(bug, right);
            self.mutant((of.name, of.says), form, clean, patches)
        });
        bugs.collect()
    }
}
