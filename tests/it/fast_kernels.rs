//! The executor's own kernels equal the operators' defining form, whatever the model and the step.

use crate::support::cases;
use crate::support::random::{all_options, architectures, encoder_decoders, latents, steps, tiny};
use crate::support::sequences::Inputs;
use cosim::exec::{Defining, Fast, Kernels, PagedRows, Values, run_with};
use cosim::graph::Graph;
use cosim::model::{Architecture, QkNorm};
use cosim::tensor::{Group, Phase, Step};
use proptest::prelude::*;
use std::num::NonZeroU64;

fn schedules() -> [Fast; 4] {
    [Fast::naive(), Fast::flash(1), Fast::flash(3), Fast::default()]
}

fn values(graph: &Graph, step: &Step, inputs: &Inputs, kernels: &dyn Kernels<f64>) -> Values<f64> {
    run_with(graph, step, inputs, (kernels, None), &|_| true)
}

/// Every value that both have is the same within rounding; the fast run lacks scores and probabilities
/// at most.
fn assert_equal(found: &Values<f64>, expected: &Values<f64>) {
    for (name, expected) in &expected.kept {
        let Some(found) = found.kept.get(name) else {
            assert!(name.1.ends_with("scores") || name.1.ends_with("softmax"), "{name:?}");
            continue;
        };
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            let near = (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()));
            assert!(near || (a.is_nan() && b.is_nan()), "{name:?}: {a} is not {b}");
        }
    }
    assert_eq!(found.outputs.len(), expected.outputs.len());
}

fn inputs(model: &Architecture, step: &Step, seed: u64) -> Inputs {
    let tokens = (0..step.tokens() as u64).map(|i| (i * 7 + seed) % model.vocabulary).collect();
    Inputs { seed, tokens, ..Inputs::default() }
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn fast_kernels_are_the_operators(
        model in prop_oneof![3 => architectures(&tiny()), 1 => latents(&tiny())],
        step in steps(3, 9, 7), seed in 0..1u64 << 32, row: bool,
    ) {
        let mut model = model;
        if row && model.attention.latent.is_none() {
            model.attention.qk_norm = QkNorm::Row;
        }
        let inputs = inputs(&model, &step, seed);
        for options in all_options() {
            let graph = model.graph(&options).expect("types");
            let expected = values(&graph, &step, &inputs, &Defining);
            for fast in schedules() {
                assert_equal(&values(&graph, &step, &inputs, &fast), &expected);
            }
        }
    }

    #[test]
    fn fast_kernels_are_the_operators_of_encoders_too(
        model in encoder_decoders(&tiny()), seed in 0..1u64 << 32,
        groups in prop::collection::vec((1..4u64, 1..4u64, 0..5u64, 1..6u64), 1..3),
    ) {
        for options in all_options() {
            let graphs = model.graphs(&options).expect("types");
            for (phases, graph) in graphs.parts() {
                let encodes = phases.contains(Phase::Encode);
                let groups = groups.iter().map(|&(count, new, past, source)| match encodes {
                    true => Group { count, new: source, past: 0, source },
                    false => Group { count, new, past, source },
                });
                let step = Step::mixed(groups).expect("valid");
                let inputs = inputs(&model, &step, seed);
                let expected = values(graph, &step, &inputs, &Defining);
                for fast in schedules() {
                    assert_equal(&values(graph, &step, &inputs, &fast), &expected);
                }
            }
        }
    }

    #[test]
    fn fast_kernels_read_a_paged_cache(
        model in architectures(&tiny()), past in 0..9u64, new in 1..6u64, seed in 0..1u64 << 32,
    ) {
        let step = Step::verify(2, new, past).expect("valid");
        let block = NonZeroU64::new(3).expect("three");
        let inputs = inputs(&model, &step, seed);
        let tables: [&[u32]; 2] = [&[7, 2, 5, 0, 9], &[1, 8, 3, 6, 4]];
        let rows = PagedRows::new(&step, block, &tables);
        for options in all_options() {
            let graph = model.graph(&options).expect("types");
            let expected = values(&graph, &step, &inputs, &Defining);
            for fast in schedules() {
                let found = run_with(&graph, &step, &inputs, (&fast, Some(&rows)), &|_| true);
                assert_equal(&found, &expected);
            }
        }
    }
}
