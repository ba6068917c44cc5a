//! Activations quantized with scales that are found as they come: values, bytes, kernels.

use crate::support::cases;
use crate::support::random::{all_options, architectures, steps, tiny};
use crate::support::sequences::Inputs;
use cosim::dtype::Scheme;
use cosim::exec::{run, run_ranks};
use cosim::graph::Graph;
use cosim::graph::shard::{Ways, tensor_parallel};
use cosim::mapping::{Plan, PlanKernel, rewritten};
use cosim::model::{BuildOptions, load_bundled};
use cosim::op::Op;
use cosim::op::split::Rank;
use cosim::tensor::Step;
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
