//! Activations quantized with scales that are found as they come: values, bytes, kernels.

use crate::support::cases;
use crate::support::machines::machine;
use crate::support::random::{all_options, architectures, steps, tiny};
use crate::support::sequences::Inputs;
use cosim::cost::{Estimator, Request};
use cosim::dtype::Scheme;
use cosim::exec::{run, run_ranks};
use cosim::graph::Graph;
use cosim::graph::shard::{Parallel, Ways, tensor_parallel};
use cosim::hardware::{EngineClass, Fidelity};
use cosim::mapping::{FileSize, Plan, PlanKernel, check_overrides, rewritten};
use cosim::model::{BuildOptions, load_bundled};
use cosim::op::Op;
use cosim::op::split::Rank;
use cosim::tensor::{Phases, Step};
use cosim::units::Bytes;
use cosim::yaml::Source;
use proptest::prelude::*;
use std::borrow::Cow;

/// Scaling and scaling back rounds.
const ROUNDING: f64 = 1e-9;

fn scheme(name: &str) -> Scheme {
    name.parse().expect("a scheme")
}

/// The logits of a step, over one or two ranks.
fn logits(graph: &Graph, step: &Step, inputs: &Inputs, ranks: u64) -> Vec<f64> {
    let name = |g: &Graph| g.node(g.operands(g.outputs()[0])[0]).name.clone();
    if ranks == 1 {
        let wanted = name(graph);
        return run::<f64>(graph, step, inputs, &|n| n == wanted).kept[&(None, wanted.clone())]
            .clone();
    }
    let cut: Vec<Graph> = (0..ranks)
        .map(|index| {
            tensor_parallel(graph, Rank { index, of: ranks }, Ways::default()).expect("divides")
        })
        .collect();
    let wanted = name(&cut[0]);
    let values = run_ranks::<f64>(&cut, step, inputs, &|n| n == wanted);
    values[0].kept[&(None, wanted.clone())].clone()
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn a_graph_with_quantized_activations_has_the_same_values(
        mut model in architectures(&tiny()), step in steps(3, 4, 5), seed: u64, ranks in 1..3u64,
    ) {
        model.attention.heads *= ranks;
        model.attention.kv_heads *= ranks;
        let tokens = (0..step.tokens() as u64).map(|i| i % model.vocabulary).collect();
        let inputs = Inputs { seed, tokens, ..Inputs::default() };
        for options in all_options() {
            let graph = model.graph(&options).expect("types");
            let plain = logits(&graph, &step, &inputs, 1);
            for name in ["w8a8", "nvfp4"] {
                let quantized = rewritten(&graph, &scheme(name));
                let op = |id| matches!(quantized.op(id), Some(Op::Quantize(_)));
                prop_assert!(quantized.nodes().any(|(id, _)| op(id)));
                let found = logits(&quantized, &step, &inputs, ranks);
                prop_assert_eq!(found.len(), plain.len());
                for (a, b) in found.iter().zip(&plain) {
                    prop_assert!((a - b).abs() <= ROUNDING * b.abs().max(1.0), "{a} or {b}");
                }
            }
        }
    }
}

fn llama() -> Graph {
    let model = load_bundled("llama-3-8b").expect("bundled");
    model.graph(&BuildOptions::default()).expect("types")
}

/// The kernels that quantize, without the single ones at a region's ends, with what else they hold.
fn quantizing(plan: &Plan) -> Vec<&PlanKernel> {
    let nodes = |k: &PlanKernel| plan.nodes[k.nodes.clone()].iter();
    let quantizes = |k: &&PlanKernel| nodes(k).any(|n| matches!(n.op, Op::Quantize(_)));
    plan.kernels.iter().filter(quantizes).collect()
}

#[test]
fn only_schemes_with_dynamic_scales_change_the_graph() {
    let graph = llama();
    for name in ["16bit", "w4a16-g128", "w8a16", "q4_k_m", "w8a8-static", "fp8-static", "awq-4bit"]
    {
        assert!(matches!(rewritten(&graph, &scheme(name)), Cow::Borrowed(_)), "{name}");
    }
    for name in ["w8a8", "fp8", "nvfp4", "mxfp8", "w4a8-g128"] {
        assert!(matches!(rewritten(&graph, &scheme(name)), Cow::Owned(_)), "{name}");
    }
}

#[test]
fn norms_quantize_in_passing_and_products_only_blocks() {
    let graph = llama();
    let names = |name: &str| {
        let plan = Plan::new(&graph, &scheme(name));
        let kernels = quantizing(&plan).into_iter();
        kernels.filter(|k| k.count > 1).map(|k| k.name.clone()).collect::<Vec<_>>()
    };
    let alone = ["ffn.add+norm+quantize", "attn.weighted_sum.quantize", "attn.add+norm+quantize"];
    assert_eq!(names("w8a8"), [&alone[..], &["ffn.activation.quantize"]].concat());
    let fused =
        ["attn.flash+quantize", "attn.add+norm+quantize", "ffn.gate.up+activation+quantize"];
    assert_eq!(names("nvfp4"), [&alone[..1], &fused].concat());
}

#[test]
fn a_quantize_kernel_reads_sixteen_bits_and_writes_eight_and_a_scale() {
    let plan = Plan::new(&llama(), &scheme("w8a8"));
    let node = plan.nodes.iter().find(|n| n.name == "attn.weighted_sum.quantize");
    let names: Vec<&str> = plan.nodes.iter().map(|n| n.name.as_str()).collect();
    let node = node.unwrap_or_else(|| panic!("{names:?}"));
    let step = Step::decode(3, 100).expect("valid");
    let work = node.op.work(&step);
    assert_eq!(node.bytes(&work), 3.0 * (4096.0 * 2.0 + 4096.0 + 4.0));
    assert_eq!(node.conversion_ops(&work), 0.0);
    // A scale that is known before costs neither.
    let fixed = Plan::new(&llama(), &scheme("w8a8-static"));
    assert!(quantizing(&fixed).is_empty());
    let attention = |plan: &Plan| {
        let node = plan.nodes.iter().find(|n| matches!(n.op, Op::WeightedSum(_))).cloned();
        node.expect("attends").write_bytes
    };
    assert_eq!((attention(&plan), attention(&fixed)), (2.0, 1.0));
}

fn file(text: &str) -> Scheme {
    Scheme::from_yaml(&Source::new("mixed.yaml", text)).expect("a scheme file")
}

/// A projection's elements in a layer of Llama 3 8B, all of them, and those of the head.
const LAYER: f64 = 2.0 * 4096.0 * 4096.0 + 2.0 * 1024.0 * 4096.0 + 3.0 * 14336.0 * 4096.0;
const HEAD: f64 = 128_256.0 * 4096.0;

#[test]
fn overrides_count_exactly_in_files_and_in_memory() {
    let graph = llama();
    let sizes = |scheme: &Scheme| {
        let plan = Plan::new(&graph, scheme).footprint.weights.total;
        assert_eq!(plan, FileSize::new(&graph, scheme).total(), "{scheme}");
        plan
    };
    let base = sizes(&scheme("wfp8a16"));
    let two = file("base: wfp8a16\noverrides:\n  - {layers: [0, -1], quant: 16bit}\n");
    // A byte more for each element of two layers, without their 7 scales.
    assert_eq!(sizes(&two) - base, Bytes::new(2.0 * (LAYER - 7.0 * 4.0)));
    let head = file("base: wfp8a16\noverrides:\n  - {tensors: head.logits, quant: wfp8a16}\n");
    assert_eq!(base - sizes(&head), Bytes::new(HEAD - 4.0));
    let down = "base: wfp8a16\noverrides:\n  - {tensors: ffn.*, layers: [\"0..3\"], quant: 16bit}\n  \
                - {tensors: ffn.down, quant: wfp8a16}\n";
    let ffn = 4.0 * (2.0 * 14336.0 * 4096.0 - 2.0 * 4.0);
    assert_eq!(sizes(&file(down)) - base, Bytes::new(ffn));
    // Over a GGUF mix, one tensor of another type.
    let mix = file("base: q4_k_m\noverrides:\n  - {tensors: head.logits, quant: 16bit}\n");
    let bits = (16.0 - 6.5625) / 8.0;
    assert_eq!(sizes(&mix) - sizes(&scheme("q4_k_m")), Bytes::new(HEAD * bits));
}

#[test]
fn layers_with_another_scheme_compute_in_it() {
    let graph = llama();
    let text = include_str!("../../workloads/schemes/w8a8-edges-16bit.yaml");
    let mixed =
        Scheme::from_yaml(&Source::new("w8a8-edges-16bit.yaml", text)).expect("a scheme file");
    check_overrides([&graph], &mixed).expect("every override is for a tensor");
    assert_eq!(mixed.name(), "w8a8-edges-16bit");
    assert_eq!(mixed.with_kv("8").expect("a format").name(), "w8a8-edges-16bit-kv8");
    let a100 = machine("a100-sxm-80gb", Fidelity::Ideal);
    let step = |scheme: &Scheme| {
        let plan = Plan::new(&graph, scheme);
        let estimator = Estimator::new(&plan, &a100).expect("engines");
        estimator.summary(&Request::Prefill { batch: 1, context: 2048 }).expect("valid").total.get()
    };
    let (plain, int8) = (step(&scheme("16bit")), step(&scheme("w8a8")));
    let ends = file("base: w8a8\noverrides:\n  - {layers: [0, -1], quant: 16bit}\n");
    // Two of 32 layers cost what they cost in 16 bits.
    let expected = int8 + 2.0 / 32.0 * (plain - int8);
    assert!((step(&ends) / expected - 1.0).abs() < 0.003, "{} or {expected}", step(&ends));
    let all = file("base: w8a8\noverrides:\n  - {layers: [\"0..-1\"], quant: 16bit}\n");
    assert!((step(&all) / plain - 1.0).abs() < 1e-9);
}

#[test]
fn parts_of_a_model_take_what_they_take_in_the_whole() {
    let graph = llama();
    let ends = file("base: wfp8a16\noverrides:\n  - {layers: [-1], quant: 16bit}\n");
    let of = |scheme: &Scheme, tensor, pipeline| {
        let parallel = Parallel { tensor, pipeline, ..Parallel::ONE };
        let plan =
            Plan::parallel([(Phases::DECODER, &graph)], scheme, parallel).expect("goes over");
        plan.footprints().map(|f| f.weights.total.get()).collect::<Vec<f64>>()
    };
    for scheme in [scheme("q4_k_m"), scheme("q2_k@2023"), ends.clone()] {
        let whole = of(&scheme, 1, 1)[0];
        assert_eq!(of(&scheme, 1, 4).iter().sum::<f64>(), whole, "{scheme}");
        // Norms are held by every rank: 65 of 4096 elements, at most four bytes each.
        let again = 8.0 * of(&scheme, 8, 1)[0] - whole;
        assert!((0.0..=7.0 * 65.0 * 4096.0 * 4.0).contains(&again), "{scheme}: {again}");
    }
    let [stages, plain] = [&ends, &scheme("wfp8a16")].map(|s| of(s, 1, 4));
    assert_eq!(stages[..3], plain[..3]);
    assert!(stages[3] > plain[3], "the last layer is in the last stage");
}

#[test]
fn an_override_for_nothing_is_refused() {
    let text = "base: w8a8\noverrides:\n  - {tensors: lm_head, quant: w8a16}\n";
    let refused = check_overrides([&llama()], &file(text)).expect_err("no such tensor");
    let shown = refused.to_string();
    assert!(shown.contains("mixed.yaml:3:") && shown.contains("head.logits"), "{shown}");
    let beyond = file("base: w8a8\noverrides:\n  - {layers: [32], quant: 16bit}\n");
    assert!(check_overrides([&llama()], &beyond).is_err());
}

#[test]
fn sparse_weights_take_half_and_their_index() {
    let graph = llama();
    let weights = |name: &str| Plan::new(&graph, &scheme(name)).footprint.weights.total.get();
    let dense = weights("16bit");
    assert_eq!(dense - weights("16bit-s2:4"), 32.0 * LAYER * (16.0 - 9.0) / 8.0);
    // Half of the elements and a bit each.
    assert_eq!(dense - weights("16bit-s0.5"), 32.0 * LAYER * (16.0 - 9.0) / 8.0);
    assert!(weights("16bit-s1") > dense);
}

#[test]
fn the_sparse_rate_holds_where_a_figure_is_known() {
    let graph = llama();
    let prefill = |device: &str, name: &str| {
        let (plan, machine) = (Plan::new(&graph, &scheme(name)), machine(device, Fidelity::Ideal));
        let estimator = Estimator::new(&plan, &machine).expect("engines");
        let request = Request::Prefill { batch: 8, context: 1024 };
        let time = estimator.summary(&request).expect("valid").total.get();
        // What the roofline draws first.
        let sparse = estimator.engines()[0].class == EngineClass::Sparse;
        assert_eq!(sparse, name.ends_with("2:4") && device == "h100-sxm", "{name} on {device}");
        (time, estimator.fallbacks())
    };
    let gain = |device: &str, name: &str| prefill(device, "16bit").0 / prefill(device, name).0;
    assert!(
        (1.6..2.0).contains(&gain("h100-sxm", "16bit-s2:4")),
        "{}",
        gain("h100-sxm", "16bit-s2:4")
    );
    let fallbacks = prefill("h100-sxm", "16bit-s2:4").1;
    assert!(!fallbacks.iter().any(|f| f.contains("sparse")), "{fallbacks:?}");
    // No figure: bytes only, and the fallback is named. Unstructured zeros: bytes only, always.
    assert!((gain("mi300x", "16bit-s2:4") - 1.0).abs() < 0.02);
    let fallbacks = prefill("mi300x", "16bit-s2:4").1;
    assert!(fallbacks.iter().any(|f| f.starts_with("engines.sparse.bf16")), "{fallbacks:?}");
    assert!((gain("h100-sxm", "16bit-s0.5") - 1.0).abs() < 0.02);
}
