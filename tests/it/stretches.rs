//! Layers told apart compute, hold and cost what they did together.

use crate::support::cases;
use crate::support::random::{all_options, architectures, encoder_decoders, latents, tiny};
use crate::support::sequences::Inputs;
use cosim::dtype::Scheme;
use cosim::exec::run;
use cosim::graph::Graph;
use cosim::mapping::Plan;
use cosim::tensor::{Group, Phase, Step};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The value that tells: the hidden state of an encoder, the logits of a decoder.
fn compared(graph: &Graph, phase: Phase) -> String {
    let output = graph.outputs()[0];
    match phase {
        Phase::Encode => graph.node(output).name.clone(),
        _ => graph.node(graph.operands(output)[0]).name.clone(),
    }
}

fn held(graph: &Graph) -> f64 {
    Plan::new(graph, &Scheme::sixteen_bit()).footprint.weights.total.get()
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn stretches_compute_what_the_stack_does(
        model in prop_oneof![
            3 => architectures(&tiny()), 1 => latents(&tiny()), 2 => encoder_decoders(&tiny())
        ],
        seed: u64, source in 1..6u64, (new, past) in (1..4u64, 0..4u64),
    ) {
        // Alike where the bits of the seed are.
        let key = |layer: u64| (seed >> layer) & 1;
        for options in all_options() {
            let graphs = model.graphs(&options).expect("types");
            let mut kept = BTreeMap::new();
            for phase in [Phase::Encode, Phase::Decode] {
                let Some(graph) = graphs.of(phase) else { continue };
                let group = match phase {
                    Phase::Encode => Group { count: 2, new: source, past: 0, source },
                    _ if graphs.of(Phase::Encode).is_none() => Group { count: 2, new, past, source: 0 },
                    _ => Group { count: 2, new, past, source },
                };
                let step = Step::mixed([group]).expect("valid");
                let cut = graph.stretched(key).expect("types");
                prop_assert_eq!(cut.layers(), graph.layers());
                prop_assert_eq!(held(&cut), held(graph));
                let tokens = (0..step.tokens() as u64).map(|t| (seed ^ (t * 7)) % model.vocabulary);
                let cache = std::mem::take(&mut kept);
                let inputs = Inputs { seed, tokens: tokens.collect(), cache, ..Inputs::default() };
                let name = compared(graph, phase);
                let mut whole = run::<f64>(graph, &step, &inputs, &|n| n == name);
                let found = run::<f64>(&cut, &step, &inputs, &|n| n == name);
                let key = (None, name);
                prop_assert_eq!(&found.kept[&key], &whole.kept[&key]);
                whole.kept.remove(&key);
                kept = whole.kept;
            }
        }
    }
}
