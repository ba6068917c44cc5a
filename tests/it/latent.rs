//! Latent attention: absorbed and expanded are the same function of the same weights and cache.

use crate::support::cases;
use crate::support::random::{latents, steps, tiny};
use crate::support::sequences::{Inputs, LOGITS};
use cosim::dtype::Scheme;
use cosim::exec::run;
use cosim::mapping::Plan;
use cosim::model::{Architecture, Block, BuildOptions, LatentForm, WhatIf};
use cosim::tensor::Phase;
use proptest::prelude::*;

fn formed(model: &Architecture, form: LatentForm) -> Architecture {
    model.what_if(&WhatIf { latent: Some(form), ..WhatIf::default() }).expect("latent")
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn absorbed_and_expanded_compute_the_same(
        model in latents(&tiny()), step in steps(3, 4, 5), seed: u64,
    ) {
        let tokens = (0..step.tokens() as u64).map(|i| i % model.vocabulary).collect();
        let inputs = Inputs { seed, tokens, ..Inputs::default() };
        let of = |form| {
            let graph = formed(&model, form).graph(&BuildOptions::default()).expect("types");
            run::<f64>(&graph, &step, &inputs, &|name| name == LOGITS).kept
        };
        let (absorbed, expanded) = (of(LatentForm::Absorbed), of(LatentForm::Expanded));
        prop_assert_eq!(absorbed.keys().collect::<Vec<_>>(), expanded.keys().collect::<Vec<_>>());
        for (name, values) in &absorbed {
            for (a, b) in values.iter().zip(&expanded[name]) {
                prop_assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{name:?}: {a} or {b}");
            }
        }
    }

    #[test]
    fn both_forms_share_weights_and_cache(model in latents(&tiny())) {
        let plan = |form| {
            let graphs = formed(&model, form).graphs(&BuildOptions::default()).expect("types");
            Plan::of(graphs.parts(), &Scheme::sixteen_bit())
        };
        let [auto, absorbed, expanded] =
            [LatentForm::Auto, LatentForm::Absorbed, LatentForm::Expanded].map(plan);
        let weights = u128::from(auto.footprint.parameters);
        // A parallel block has no norms behind its parts, which a checked model cannot ask for.
        if model.block == Block::Sequential {
            prop_assert_eq!(weights, model.parameters().total);
        }
        for other in [&absorbed, &expanded] {
            prop_assert_eq!(auto.footprint.weights, other.footprint.weights);
            prop_assert_eq!(auto.footprint.kv_per_token(), other.footprint.kv_per_token());
        }
        let latent = model.attention.latent.expect("latent");
        let kept = latent.key_value + rotated(&model);
        let bytes = 2.0 * (model.layers * kept) as f64;
        prop_assert_eq!(auto.footprint.kv_per_token().get(), bytes);
        let runs = |phase: Phase, name: &str| {
            auto.kernels.iter().any(|k| k.phases.contains(phase) && k.name == name)
        };
        prop_assert!(runs(Phase::Prefill, "attn.k_up") && !runs(Phase::Decode, "attn.k_up"));
        prop_assert!(runs(Phase::Decode, "attn.absorb_q") && !runs(Phase::Prefill, "attn.absorb_q"));
    }
}

fn rotated(model: &Architecture) -> u64 {
    match model.position {
        cosim::model::Position::Rope { rotary_dim, .. } => rotary_dim,
        _ => 0,
    }
}
