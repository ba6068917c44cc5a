//! Laws of speculative decoding on the graph's own times.

use crate::support::case::{Case, any_case};
use crate::support::cases;
use crate::support::machines::machine;
use cosim::cost::speculative::{Speculated, Speculator, Target};
use cosim::cost::{Estimator, Request, Summary};
use cosim::diagnostic::Diagnostic;
use cosim::dtype::Scheme;
use cosim::graph::shard::Parallel;
use cosim::hardware::Fidelity;
use cosim::mapping::Plan;
use cosim::model::{BuildOptions, load_bundled};
use cosim::tensor::{Phase, Placement};
use cosim::workload::{Drafter, Gamma, Speculative};
use proptest::prelude::*;

fn drafters() -> impl Strategy<Value = Drafter> {
    prop_oneof![
        Just(Drafter::Model("itself".to_owned())),
        Just(Drafter::PromptLookup),
        Just(Drafter::Medusa(8)),
        Just(Drafter::Mtp(8)),
    ]
}

/// Plain and speculative summary of a request.
fn both(case: &Case, fidelity: Fidelity, choice: &Speculative, request: &Request) -> [Summary; 2] {
    let Case { model, options, scheme, .. } = case;
    let (parallel, placement) = (Parallel::ONE, Placement::default());
    let target = Target { architecture: model, options, scheme, parallel, placement };
    let itself = |_: &str| Ok(model.clone());
    let what = Speculated::new(choice, target, &itself).expect("compiles").expect("a drafter");
    case.on(fidelity, |_, _, e| {
        let speculator = Speculator::new(e.clone(), &what).expect("the scheme runs");
        let (speculative, _) = speculator.summary(request).expect("valid");
        [e.summary(request).expect("valid"), speculative]
    })
}

fn choice(drafter: Drafter, gamma: Gamma, rates: &str) -> Speculative {
    Speculative { drafter: Some(drafter), gamma, acceptance: rates.parse().ok(), place: None }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn a_draft_that_is_never_accepted_is_never_faster_than_none(
        case in any_case(), drafter in drafters(), gamma in 1..=8u64,
        batch in 1..300u64, prompt in 1..9000u64, output in 2..600u64,
    ) {
        let request = Request::Generation { batch, prompt, output };
        let choice = choice(drafter, Gamma::Fixed(gamma), "0");
        for fidelity in [Fidelity::Ideal, Fidelity::Realistic] {
            let [plain, speculative] = both(&case, fidelity, &choice, &request);
            prop_assert!(plain.total.get() <= speculative.total.get() * (1.0 + 1e-12));
            let steps = [plain, speculative].map(|s| s.decode_step.expect("decodes").get());
            prop_assert!(steps[0] <= steps[1] * (1.0 + 1e-12), "{steps:?}");
            prop_assert!(plain.memory.total() <= speculative.memory.total());
        }
    }

    #[test]
    fn the_automatic_gamma_is_never_slower_than_a_given_one(
        case in any_case(), drafter in drafters(), gamma in 1..=8u64, alpha in 0.0..0.95f64,
        batch in 1..30u64, prompt in 1..3000u64,
    ) {
        let request = Request::Generation { batch, prompt, output: 100 };
        let step = |gamma| {
            let choice = choice(drafter.clone(), gamma, &alpha.to_string());
            let [_, speculative] = both(&case, Fidelity::Ideal, &choice, &request);
            speculative.decode_step.expect("decodes").get()
        };
        prop_assert!(step(Gamma::Auto) <= step(Gamma::Fixed(gamma)) * (1.0 + 1e-12));
    }
}

#[test]
fn heads_have_the_parameters_of_their_papers() {
    let llama = load_bundled("llama-2-7b").expect("bundled");
    let options = BuildOptions::default();
    let scheme = Scheme::sixteen_bit();
    let head = Plan::new(&llama.medusa_head(&options).expect("types"), &scheme);
    assert_eq!(head.footprint.parameters, 4096 * 4096 + 4096 * 32_000);
    let target = Target {
        architecture: &llama,
        options: &options,
        scheme: &scheme,
        parallel: Parallel::ONE,
        placement: Placement::default(),
    };
    let none = |name: &str| Err(Diagnostic::new(name));
    let weights = |drafter: Drafter| {
        let choice = choice(drafter, Gamma::Auto, "0.8");
        let what = Speculated::new(&choice, target, &none).expect("compiles").expect("a drafter");
        what.draft.weights.get()
    };
    // A projection of two states, a norm for each, and a layer; embedding and head are shared.
    let layer = llama.parameters().layer.total() as f64;
    let module = 2.0 * 4096.0 * 4096.0 + 2.0 * 4096.0 + layer;
    assert_eq!(weights(Drafter::Mtp(3)), 3.0 * 2.0 * module);
    assert_eq!(weights(Drafter::Medusa(4)), 4.0 * 2.0 * (4096.0 * (4096.0 + 32_000.0)));
    assert_eq!(weights(Drafter::PromptLookup), 0.0);
}

#[test]
fn a_module_of_latent_attention_has_a_form_for_each_phase() {
    let model = load_bundled("deepseek-v2-lite").expect("bundled");
    let graphs = model.mtp_modules(&BuildOptions::default()).expect("types");
    let plan = Plan::of(graphs.parts(), &Scheme::sixteen_bit());
    let runs = |phase: Phase, name: &str| {
        plan.kernels.iter().any(|k| k.phases.contains(phase) && k.name == name)
    };
    assert!(runs(Phase::Prefill, "attn.k_up") && !runs(Phase::Decode, "attn.k_up"));
    assert!(runs(Phase::Decode, "attn.absorb_q") && !runs(Phase::Prefill, "attn.absorb_q"));
}

/// Plain and speculative summary of a bundled target with a draft of its family, over devices.
fn over(parallel: Parallel, drafter: &Drafter, gamma: u64, rate: &str) -> [Summary; 2] {
    let [target, draft] =
        ["llama-3-70b", "llama-3-8b"].map(|id| load_bundled(id).expect("bundled"));
    let (options, scheme) = (BuildOptions::default(), Scheme::sixteen_bit());
    let graphs = target.graphs(&options).expect("types");
    let plan = Plan::parallel(graphs.parts(), &scheme, parallel).expect("divides");
    let h100 = machine("h100-sxm", Fidelity::Ideal);
    let estimator = Estimator::new(&plan, &h100).expect("runs");
    let placement = Placement::default();
    let of =
        Target { architecture: &target, options: &options, scheme: &scheme, parallel, placement };
    let load = |_: &str| Ok(draft.clone());
    let choice = choice(drafter.clone(), Gamma::Fixed(gamma), rate);
    let what = Speculated::new(&choice, of, &load).expect("compiles").expect("a drafter");
    let request = Request::Generation { batch: 8, prompt: 1000, output: 100 };
    let plain = estimator.summary(&request).expect("valid");
    let speculator = Speculator::new(estimator, &what).expect("runs");
    let (speculative, _) = speculator.summary(&request).expect("valid");
    let stages = speculator.stages(&request, gamma).expect("valid");
    let most = stages.iter().map(|(memory, _)| memory.total().get()).fold(0.0, f64::max);
    assert_eq!((stages.len() as u64, most), (parallel.pipeline, speculative.memory.total().get()));
    let mut drafts = what.draft.plan.iter().flat_map(Plan::footprints);
    for ((memory, _), own) in stages.iter().zip(plan.footprints()) {
        let draft = drafts.next().map_or(0.0, |draft| draft.weights.total.get());
        assert_eq!(memory.weights.get(), own.weights.total.get() + draft, "{parallel}");
    }
    [plain, speculative]
}

#[test]
fn drafts_go_over_stages_and_positions_as_their_targets() {
    let cut = [
        Parallel { pipeline: 2, ..Parallel::ONE },
        Parallel { pipeline: 4, micro_batches: 2, ..Parallel::ONE },
        Parallel { context: 4, ..Parallel::ONE },
        Parallel { tensor: 2, context: 2, pipeline: 2, ..Parallel::ONE },
    ];
    let drafters = [Drafter::PromptLookup, Drafter::Model("llama-3-8b".to_owned())];
    for (parallel, drafter) in cut.iter().flat_map(|p| drafters.iter().map(move |d| (*p, d))) {
        for gamma in [1, 3, 8] {
            let [plain, never] = over(parallel, drafter, gamma, "0");
            assert!(plain.decode_step <= never.decode_step, "{parallel} {drafter:?} {gamma}");
            assert!(plain.memory.total() <= never.memory.total());
            let [_, always] = over(parallel, drafter, gamma, "1");
            let speed_up = plain.total / always.total;
            assert!(
                speed_up > 1.0 && speed_up < (gamma + 1) as f64,
                "{parallel} {drafter:?} {gamma}"
            );
        }
    }
}
