//! Quantizers on a trained model, `tests/golden/stories260K`.

use crate::support::vectors::{golden, numbers};
use cosim::dtype::{Format, Group, Packing, Scaled, Storage};
use cosim::exec::{Fast, run_with};
use cosim::graph::Graph;
use cosim::model::checkpoint::Layout;
use cosim::model::import::config_json;
use cosim::model::{Architecture, BuildOptions};
use cosim::quality::{Agreement, perplexity};
use cosim::quantize::{Awq, Calibrations, Gptq, Method, Ragged, Recipe, inputs};
use cosim::tensor::{Role, Step, TensorName, TensorSource, TensorType, WeightKind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

const CONFIG: &str = r#"{
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 512, "hidden_size": 64,
    "intermediate_size": 172, "num_hidden_layers": 5, "num_attention_heads": 8, "num_key_value_heads": 4,
    "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "tie_word_embeddings": true,
    "rope_theta": 10000.0, "attention_bias": false, "mlp_bias": false
}"#;

/// Tokens of a text.
const LENGTH: usize = 256;
/// Texts that the figures are over.
const TEXTS: usize = 6;

#[derive(Clone)]
struct Stories {
    arch: Architecture,
    weights: BTreeMap<String, Vec<f64>>,
    ids: Vec<f64>,
}

impl TensorSource<f64> for Stories {
    fn tensor(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Vec<f64> {
        match ty.role {
            Role::TokenIds => self.ids.clone(),
            Role::Weight(_) => {
                let layout = Layout::of_family("llama").expect("a family");
                let parts = layout.parts(&self.arch, name.layer, name.name).expect("a name");
                self.weights[&parts[0].tensor].clone()
            }
            _ => vec![0.0; rows * ty.width as usize],
        }
    }
}

fn tensors(name: &str) -> BTreeMap<String, Vec<f64>> {
    numbers(&golden("stories260K").join(name))
}

struct Bench {
    graph: Graph,
    model: Stories,
    calibrations: Calibrations,
    plain: Vec<f64>,
}

fn kept(graph: &Graph, source: &dyn TensorSource<f64>, texts: usize) -> Vec<f64> {
    let step = Step::verify(texts as u64, LENGTH as u64, 0).expect("valid");
    let keep = |name: &str| name == "head.logits";
    let values = run_with::<f64>(graph, &step, source, (&Fast::default(), None), &keep);
    values.kept.into_iter().find(|((_, name), _)| keep(name)).expect("logits").1
}

impl Bench {
    /// The model, calibrated on the texts that the figures are not over.
    fn new() -> Self {
        let ids = tensors("samples.safetensors").remove("ids").expect("ids");
        let (own, others) = ids.split_at(TEXTS * LENGTH);
        let arch = config_json(CONFIG, "stories260k").expect("a model");
        let weights = tensors("model.safetensors");
        let model = Stories { arch, weights, ids: own.to_vec() };
        let graph = model.arch.graph(&BuildOptions::default()).expect("types");
        let mut calibrations = Calibrations::new(&inputs(&graph));
        let other = Stories { ids: others.to_vec(), ..model.clone() };
        let step = Step::verify(10, LENGTH as u64, 0).expect("valid");
        let wants = |name: &str| calibrations.wants(name);
        let seen = run_with::<f64>(&graph, &step, &other, (&Fast::default(), None), &wants);
        calibrations.observe(&seen.kept);
        let plain = kept(&graph, &model, TEXTS);
        Self { graph, model, calibrations, plain }
    }

    /// Natural logarithms of the likelihoods of the tokens, over all texts.
    fn losses(&self, logits: &[f64]) -> f64 {
        let vocabulary = self.model.arch.vocabulary as usize;
        let texts = logits.chunks(LENGTH * vocabulary).zip(self.model.ids.chunks(LENGTH));
        let perplexities = texts.map(|(logits, ids)| {
            let next: Vec<usize> = ids[1..].iter().map(|id| *id as usize).collect();
            perplexity(&logits[..next.len() * vocabulary], &next).ln()
        });
        perplexities.sum::<f64>() / TEXTS as f64
    }

    /// Perplexity and agreement with projections in a storage.
    fn run(&self, storage: Storage, method: Method, smooth: Option<f64>) -> (f64, Agreement) {
        let of = |id, _| {
            let projection = Role::Weight(WeightKind::Projection);
            (self.graph.node(id).ty.role == projection).then_some(storage)
        };
        let mut recipe = Recipe::new(&self.graph, &of, Some(&self.calibrations));
        (recipe.method, recipe.ragged) = (Some(method), Ragged::Row);
        recipe.scale_for_awq(&self.model).expect("calibrated");
        if let Some(alpha) = smooth {
            recipe.smooth(&self.model, alpha).expect("calibrated");
        }
        let replaced = recipe.replaced(&self.model).expect("values");
        let logits = kept(&self.graph, &replaced, TEXTS);
        let mut agreement = Agreement::default();
        agreement.add(&self.plain, &logits, self.model.arch.vocabulary as usize);
        (self.losses(&logits).exp(), agreement)
    }
}

fn integers(element: Format, group: Group, zero_point: bool) -> Storage {
    let (scale, packing) = (Format::Fp32, Packing::Dense);
    Storage::Scaled(Scaled { element, scale, group, zero_point, packing })
}

#[derive(Deserialize)]
struct Figure {
    perplexity: f64,
    kl: f64,
    top1: f64,
}

#[test]
fn a_trained_model_loses_what_others_measured() {
    let bench = Bench::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stories260K/figures.json");
    let text = std::fs::read_to_string(path).expect("figures");
    let figures: BTreeMap<String, Figure> = serde_json::from_str(&text).expect("JSON");
    let plain = bench.losses(&bench.plain);
    assert!((plain.exp() - figures["fp"].perplexity).abs() < 1e-6, "{plain}");
    let nll = &tensors("samples.safetensors")["nll"][..TEXTS * (LENGTH - 1)];
    assert!((plain - nll.iter().sum::<f64>() / nll.len() as f64).abs() < 1e-7);

    let g32 = Group::Size(32);
    for (name, element, group, zero_point) in [
        ("int8 ch sym", Format::Int8, Group::Row, false),
        ("int4 ch sym", Format::Int4, Group::Row, false),
        ("int4 g32 sym", Format::Int4, g32, false),
        ("int4 g32 asym", Format::Int4, g32, true),
        ("int3 g32 asym", Format::Int3, g32, true),
        ("int2 g32 asym", Format::Int2, g32, true),
    ] {
        let (found, agreement) =
            bench.run(integers(element, group, zero_point), Method::Nearest, None);
        let figure = &figures[name];
        println!("{name}: {found:.5} of {:.5}, {agreement:?}", figure.perplexity);
        assert!((found / figure.perplexity - 1.0).abs() < 2e-4, "{name}: {found}");
        assert!((agreement.kl() / figure.kl - 1.0).abs() < 2e-3, "{name}: {agreement:?}");
        assert!((agreement.top1() - figure.top1).abs() < 2e-3, "{name}: {agreement:?}");
    }
}

#[test]
fn calibrated_methods_lose_less() {
    let bench = Bench::new();
    for (element, group) in [
        (Format::Int4, Group::Size(32)),
        (Format::Int3, Group::Size(32)),
        (Format::Int4, Group::Row),
    ] {
        let storage = integers(element, group, true);
        let (nearest, _) = bench.run(storage, Method::Nearest, None);
        for method in [Method::Gptq(Gptq::default()), Method::Awq(Awq::default())] {
            let (found, _) = bench.run(storage, method, None);
            println!("{element} {group:?} {method:?}: {found:.4}, nearest {nearest:.4}");
            assert!(found < nearest, "{element} {group:?} {method:?}: {found} of {nearest}");
        }
    }
}
