//! Laws of shared KV blocks: what a case holds, computes and is held to by block tables.

use crate::support::cases;
use crate::support::machines::machine;
use cosim::cost::{Economics, Estimator, Memory, Request, RequestError, Summary};
use cosim::dtype::Scheme;
use cosim::hardware::Fidelity;
use cosim::mapping::Plan;
use cosim::model::{BuildOptions, load_bundled};
use cosim::serving::{Decoding, Group};
use cosim::tensor::{Branching, KvLayout, Placement, Sharing, Span};
use cosim::units::DollarsPerHour;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::num::NonZeroU64;

fn size(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).expect("above zero")
}

fn samples(prefix: u64, n: u64) -> Sharing {
    Sharing { prefix, sequences: size(n), branching: Branching::Samples }
}

fn beams(n: u64) -> Sharing {
    Sharing { branching: Branching::Beams, ..samples(0, n) }
}

fn plan(model: &str, sharing: Sharing) -> Plan {
    let graphs = load_bundled(model).expect("bundled").graphs(&BuildOptions::default());
    let graphs = graphs.expect("types");
    let layout = KvLayout::Paged { block: size(16), sharing };
    let plan = Plan::of(graphs.parts(), &Scheme::sixteen_bit());
    plan.placed(Placement { layout, ..Placement::default() })
}

fn generation(batch: u64, prompt: u64, output: u64) -> Request {
    Request::Generation { batch, prompt, output }
}

/// Times and memory, and the largest batch.
fn priced(model: &str, sharing: Sharing, request: &Request) -> (Summary, u64) {
    let (plan, machine) = (plan(model, sharing), machine("h100-sxm", Fidelity::Realistic));
    let estimator = Estimator::new(&plan, &machine).expect("engines");
    let summary = estimator.summary(request).expect("valid");
    let capacity = estimator.capacity(request, &summary.memory);
    (summary, capacity.max_batch)
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn a_case_holds_the_blocks_that_block_tables_hold(
        prompt in 1..200u64, output in 1..200u64, n in 1..6u64, block in 1..40u64,
    ) {
        let group =
            Group { sequences: n, decoding: Decoding::Parallel, prompt, output };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let (held, _) = group.run(size(block), &mut random).expect("fits");
        let at = |tokens| {
            let span = Span { prompt, tokens, window: None };
            samples(0, n).held(span, size(block)).per_request
        };
        let sum: f64 = (1..=output).map(|done| at(prompt + done)).sum();
        prop_assert_eq!(sum, (held * block) as f64);
    }

    #[test]
    fn alone_is_unshared_and_more_sharing_never_holds_more(
        prompt in 1..3000u64, output in 0..3000u64, window in prop::option::of(1..5000u64),
        prefix in 0..4000u64, n in 1..9u64, block in 1..64u64,
    ) {
        let span = Span { prompt, tokens: prompt + output, window };
        let layout = |sharing| KvLayout::Paged { block: size(block), sharing };
        let one = samples(0, 1).held(span, size(block));
        let slots = layout(Sharing::NONE).slots(prompt, output).expect("paged");
        prop_assert_eq!(one.common, 0.0);
        prop_assert_eq!(one.per_request, layout(Sharing::NONE).within(slots, window) as f64);
        // Of n requests with one prefix, and of one request with n samples.
        let all = |s: Sharing, requests: f64| {
            let held = s.held(span, size(block));
            held.common + requests * held.per_request
        };
        let apart = n as f64 * one.per_request;
        prop_assert!(all(samples(prefix, 1), n as f64) <= apart);
        prop_assert!(all(samples(0, n), 1.0) <= apart);
        prop_assert!(all(beams(n), 1.0) <= all(samples(0, n), 1.0) + 1e-9);
        prop_assert!(all(samples(prefix, n), 1.0) <= all(samples(0, n), 1.0));
        let filled = samples(prefix, n).used(span, size(block));
        let held = samples(prefix, n).held(span, size(block));
        prop_assert!(filled.common <= held.common && filled.per_request <= held.per_request);
    }
}

/// Mean slots over a beam search's steps, simulated: blocks that tables with copy-on-write hold.
fn simulated(n: u64, prompt: u64, output: u64) -> f64 {
    let group = Group { sequences: n, decoding: Decoding::Beam { replace: 1.0 }, prompt, output };
    let runs = 40;
    let held = (0..runs).map(|seed| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        group.run(size(16), &mut random).expect("fits").0
    });
    16.0 * held.sum::<u64>() as f64 / runs as f64 / output as f64
}

#[test]
fn beams_hold_what_a_simulated_search_holds() {
    for (n, prompt, output) in [(2, 20, 60), (4, 100, 200), (6, 300, 300), (8, 64, 900)] {
        let at = |tokens| {
            let span = Span { prompt, tokens, window: None };
            beams(n).held(span, size(16)).per_request
        };
        let mean = (1..=output).map(|done| at(prompt + done)).sum::<f64>() / output as f64;
        let ratio = mean / simulated(n, prompt, output);
        assert!((0.93..1.07).contains(&ratio), "{n} beams, {prompt} + {output}: {ratio}");
    }
}

#[test]
fn a_prefix_is_held_once_and_computed_before() {
    let request = generation(8, 1040, 64);
    let (apart, most) = priced("llama-3-8b", Sharing::NONE, &request);
    let (shared, more) = priced("llama-3-8b", samples(1024, 1), &request);
    let slot = plan("llama-3-8b", Sharing::NONE).footprint.kv_per_token();
    // Seven of eight copies are spared.
    assert_eq!(apart.memory.kv - shared.memory.kv, slot * (7.0 * 1024.0));
    assert_eq!(shared.memory.kv_common, slot * 1024.0);
    assert!(more > 5 * most, "{more} or {most}");
    // 16 tokens to compute in place of 1040; every sequence still reads all of its context.
    assert!(apart.prefill > shared.prefill.map(|t| t * 10.0), "{:?}", shared.prefill);
    assert_eq!(apart.decode_step, shared.decode_step);
}

#[test]
fn samples_prefill_once_and_decode_each_on_its_own() {
    let (apart, _) = priced("llama-3-8b", Sharing::NONE, &generation(8, 1024, 64));
    let (shared, _) = priced("llama-3-8b", samples(0, 8), &generation(8, 1024, 64));
    let (one, _) = priced("llama-3-8b", Sharing::NONE, &generation(1, 1024, 64));
    assert_eq!(shared.prefill, one.prefill);
    // Money for prompt tokens: those of one prompt.
    let input = |request, summary| {
        let price = Some(DollarsPerHour::new(3.6));
        Economics::new(&request, summary, 1, None, price).per_million_input
    };
    let [eight, single] = [8, 1].map(|n| generation(n, 1024, 64));
    assert_eq!(input(eight, &shared), input(single, &one));
    assert_eq!(shared.decode_step, apart.decode_step);
    let slot = plan("llama-3-8b", Sharing::NONE).footprint.kv_per_token();
    assert_eq!(shared.memory.kv, slot * (1024.0 + 8.0 * 64.0));
    // A long prompt is nearly all of the cache.
    let (long, _) = priced("llama-3-8b", samples(0, 8), &generation(8, 8000, 16));
    let (longer, _) = priced("llama-3-8b", Sharing::NONE, &generation(8, 8000, 16));
    let share = long.memory.kv / longer.memory.kv;
    assert!((share - 1.0 / 8.0).abs() < 0.003, "{share}");
    // An encoder reads its input once for all.
    let encoded = |s| priced("whisper-large-v3", s, &generation(4, 1500, 16)).0;
    let (five, alone) = (encoded(samples(0, 4)), encoded(Sharing::NONE));
    assert!(five.encode < alone.encode && five.memory.kv < alone.memory.kv);
}

#[test]
fn the_last_request_holds_the_sequences_that_it_has() {
    let held = |batch, s| priced("llama-3-8b", s, &generation(batch, 100, 800)).0.memory.kv;
    for sharing in [samples(0, 4), samples(64, 4), beams(4)] {
        assert_eq!(held(1, Sharing { sequences: size(1024), ..sharing }), held(1, samples(0, 1)));
        let (one, four) = (held(1, sharing), held(4, sharing));
        let common = priced("llama-3-8b", sharing, &generation(1, 100, 800)).0.memory.kv_common;
        assert_eq!(held(5, sharing), four + one - common);
        assert!(held(5, sharing) < held(5, Sharing::NONE) && one < four);
    }
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let memory = |model: &str, s, request: &Request| Memory::of(&plan(model, s), request);
    let beyond = memory("llama-3-8b", samples(65, 1), &generation(1, 64, 8));
    assert_eq!(beyond, Err(RequestError::Prefix { prefix: 65, tokens: 64 }));
    let decode = Request::Decode { batch: 8, context: 64 };
    assert_eq!(memory("llama-3-8b", samples(0, 2), &decode), Err(RequestError::NoPrompt));
    assert!(memory("llama-3-8b", samples(16, 1), &decode).is_ok());
    let encoder = memory("t5-large", samples(16, 1), &generation(1, 64, 8));
    assert_eq!(encoder, Err(RequestError::EncoderPrefix));
}
