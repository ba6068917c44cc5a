//! Two roads to a model's size agree: the closed form of its architecture, which is held to the
//! public checkpoints' totals, and the weights of the graph that is priced.

use cosim::dtype::Scheme;
use cosim::mapping::{FileSize, Plan};
use cosim::model::{BuildOptions, WhatIf, bundled, load_bundled};

#[test]
fn the_graph_holds_every_parameter_of_every_bundled_model() {
    for id in bundled::ids() {
        let model = load_bundled(id).expect("bundled");
        let graphs = model.graphs(&BuildOptions::default()).expect("wires");
        let plan = Plan::of(graphs.parts(), &Scheme::sixteen_bit());
        let total = model.parameters().total;
        assert_eq!(u128::from(plan.footprint.parameters), total, "{id}");
        assert_eq!(plan.footprint.weights.total.get(), 2.0 * total as f64, "{id}");
    }
}

/// Per token and layer a latent of 512 and a shared rotated key of 64, at 16 bit, in either form, and
/// on every rank (arXiv 2412.19437, section 4.2): 61 and 27 layers.
#[test]
fn deepseek_keeps_latents_alone() {
    for (id, bytes) in [("deepseek-v3", 70_272.0), ("deepseek-v2-lite", 31_104.0)] {
        let model = load_bundled(id).expect("bundled");
        for form in ["auto", "expanded", "absorbed"] {
            let change = WhatIf { latent: form.parse().ok(), ..WhatIf::default() };
            let model = model.what_if(&change).expect("latent");
            let graphs = model.graphs(&BuildOptions::default()).expect("wires");
            let plan = Plan::of(graphs.parts(), &Scheme::sixteen_bit());
            assert_eq!(plan.footprint.kv_per_token().get(), bytes, "{id} {form}");
            assert_eq!(plan.footprint.kv(3.0, 1000).get(), 3000.0 * bytes, "{id} {form}");
        }
    }
}

/// Activated per token, as the makers round them, the embedding left out: 37B (arXiv 2412.19437,
/// abstract) and 2.4B (arXiv 2405.04434, appendix B).
#[test]
fn deepseek_activates_what_is_published() {
    for (id, billions, within) in [("deepseek-v3", 37.0, 0.5), ("deepseek-v2-lite", 2.4, 0.06)] {
        let parameters = load_bundled(id).expect("bundled").parameters();
        let active = (parameters.active - parameters.embedding) as f64 / 1e9;
        assert!((active - billions).abs() < within, "{id}: {active}");
    }
}

/// OpenAI, gpt-oss model card (arXiv 2508.10925), table 1: checkpoint sizes in GiB and active
/// parameters, which leave the embedding out. Experts in MXFP4, the rest in bf16.
#[test]
fn gpt_oss_has_the_published_sizes() {
    let scheme: Scheme = "wmxfp4a16-experts".parse().expect("a scheme");
    for (id, gib, billions) in [("gpt-oss-20b", 12.8, 3.61), ("gpt-oss-120b", 60.8, 5.13)] {
        let model = load_bundled(id).expect("bundled");
        let graph = model.graph(&BuildOptions::default()).expect("wires");
        let bytes = FileSize::new(&graph, &scheme).total();
        assert!((bytes.get() / 2f64.powi(30) - gib).abs() < 0.05, "{id}: {bytes}");
        assert_eq!(Plan::new(&graph, &scheme).footprint.weights.total, bytes, "{id}");
        let experts = model.experts.expect("experts");
        let [layers, count, hidden] = [model.layers, experts.count, model.hidden].map(u128::from);
        let routed = (layers * count * 3 * hidden * hidden) as f64;
        let others = model.parameters().total as f64 - routed;
        assert_eq!(bytes.get(), routed * 4.25 / 8.0 + others * 2.0, "{id}");
        let active = model.parameters().active - model.parameters().embedding;
        assert!((active as f64 / 1e9 - billions).abs() < 0.005, "{id}: {active}");
    }
}
