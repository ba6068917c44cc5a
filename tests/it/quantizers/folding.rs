//! Scales that are folded into a model leave what it computes.

use crate::support::cases;
use crate::support::random::{all_options, architectures, encoder_decoders, steps, tiny};
use crate::support::sequences::{Inputs, LOGITS};
use cosim::exec::run;
use cosim::graph::Graph;
use cosim::model::load_bundled;
use cosim::quantize::{Absorber, Fold, Folded, Site, sites};
use cosim::tensor::{Phase, Step};
use proptest::prelude::*;

/// Scales between 1/4 and 4 that depend on a seed.
fn scales(site: &Site, seed: u64) -> Vec<f64> {
    let draw = |i: usize| ((seed as f64).sin() * 10.0 + i as f64 * 1.7).sin();
    let mut scales: Vec<f64> = (0..site.channels.len()).map(|i| draw(i).exp2().powi(2)).collect();
    site.merge(&mut scales);
    scales
}

/// Largest difference of the logits with scales at every site, and their largest magnitude.
fn difference(graph: &Graph, step: &Step, inputs: &Inputs, seed: u64) -> (f64, f64) {
    let mut fold = Fold::default();
    for (i, site) in sites(graph).iter().enumerate() {
        fold.insert(site, &scales(site, seed ^ i as u64)).expect("as many as channels");
    }
    let folded = Folded { source: inputs, fold: &fold };
    let logits = |source| {
        let values = run::<f64>(graph, step, source, &|name| name == LOGITS);
        values.kept.into_iter().find(|((_, name), _)| name == LOGITS).expect("logits").1
    };
    let (plain, scaled) = (logits(inputs), logits(&folded));
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let apart = most(&mut plain.iter().zip(&scaled).map(|(a, b)| (a - b).abs()));
    (apart, most(&mut plain.iter().map(|x| x.abs())))
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_scaled_model_computes_the_same(
        model in architectures(&tiny()), step in steps(3, 4, 1), seed: u64,
    ) {
        // From an empty cache: cached values are those of the scaled model.
        let step = Step::prefill(1, step.tokens() as u64).expect("valid");
        let tokens = (0..step.tokens() as u64).map(|i| i % model.vocabulary).collect();
        let inputs = Inputs { seed, tokens, ..Inputs::default() };
        for options in all_options() {
            let graph = model.graph(&options).expect("types");
            let found = sites(&graph);
            let gated = found.iter().filter(|s| matches!(s.absorber, Absorber::Norm { .. })).count();
            prop_assert!(gated as u64 >= model.layers, "{found:?}");
            let (apart, most) = difference(&graph, &step, &inputs, seed);
            prop_assert!(apart <= 1e-9 * most.max(1.0), "{apart} of {most}");
        }
    }

    #[test]
    fn a_decoder_with_an_encoder_computes_the_same(
        model in encoder_decoders(&tiny()), seed: u64,
    ) {
        let graphs = model.graphs(&all_options()[0]).expect("types");
        for (_, graph) in graphs.parts().filter(|(p, _)| !p.contains(Phase::Encode)) {
            let step = Step::prefill(1, 3).and_then(|s| s.with_source(4)).expect("valid");
            let tokens = (0..3).map(|i| i % model.vocabulary).collect();
            let inputs = Inputs { seed, tokens, ..Inputs::default() };
            let (apart, most) = difference(graph, &step, &inputs, seed);
            prop_assert!(apart <= 1e-9 * most.max(1.0), "{apart} of {most}");
        }
    }
}

/// Names of activations and of what takes their scales, in layer 0.
fn of_layer(model: &str) -> Vec<(String, String)> {
    let model = load_bundled(model).expect("bundled");
    let graph = model.graph(&all_options()[0]).expect("types");
    let found = sites(&graph).into_iter().filter(|s| s.layer == Some(0));
    let absorber = |site: Site| match site.absorber {
        Absorber::Norm { gain, .. } => (site.activation, gain),
        Absorber::Rows { weight, .. } => (site.activation, weight),
    };
    let mut found: Vec<_> = found.map(absorber).collect();
    found.sort();
    found
}

#[test]
fn sites_follow_the_wiring() {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let llama = [
        ("attn.norm", "attn.norm.weight"),
        ("attn.weighted_sum", "attn.v.weight"),
        ("ffn.activation", "ffn.up.weight"),
        ("ffn.norm", "ffn.norm.weight"),
    ];
    assert_eq!(of_layer("llama-3-8b"), pairs(&llama));
    let mixtral = [
        ("attn.norm", "attn.norm.weight"),
        ("attn.weighted_sum", "attn.v.weight"),
        ("experts.activation", "experts.up.weight"),
        ("ffn.norm", "ffn.norm.weight"),
    ];
    assert_eq!(of_layer("mixtral-8x7b"), pairs(&mixtral));
    // GELU is not linear.
    let gpt2 = [
        ("attn.norm", "attn.norm.weight"),
        ("attn.weighted_sum", "attn.v.weight"),
        ("ffn.norm", "ffn.norm.weight"),
    ];
    assert_eq!(of_layer("gpt2"), pairs(&gpt2));
}
