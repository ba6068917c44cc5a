//! The laws of roofline fidelity, over random models, devices, schemes and scenarios.

use crate::support::case::{Case, any_case, factors, requests};
use crate::support::cases;
use crate::support::machines::{Factors, scaled, step_time};
use crate::support::random::steps;
use cosim::cost::Request;
use cosim::hardware::Fidelity;
use cosim::model::{AttentionKernel, BuildOptions, FusionSet, Position, WhatIf, WindowForm};
use cosim::tensor::{Group, Step};
use proptest::prelude::*;

/// Relative error of sums in another order.
const ROUNDING: f64 = 1e-12;

/// Numbers at the edges of what a request can say.
fn absurd() -> impl Strategy<Value = u64> {
    prop_oneof![0..3u64, (1 << 32) - 1..(1 << 32) + 2u64, u64::MAX - 2..=u64::MAX]
}

/// At most the other, within rounding.
macro_rules! prop_at_most {
    ($small:expr, $large:expr) => {
        let (small, large) = ($small, $large);
        prop_assert!(small <= large * (1.0 + ROUNDING), "{} is above {}", small, large);
    };
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn never_below_the_memory_floor(
        case in any_case(), batch in 1..300u64, context in 1..9000u64,
    ) {
        let step = Step::decode(batch, context).expect("valid");
        case.on(Fidelity::Ideal, |plan, machine, e| {
            let cache = plan.footprint.kv(batch as f64, context).get();
            let bandwidth = machine.levels[machine.dram].bandwidth.expect("checked").get();
            let floor = (case.read_weights(plan) + cache) / bandwidth;
            prop_at_most!(floor, step_time(plan, machine, e, &step));
            Ok(())
        })?;
    }

    #[test]
    fn never_below_the_compute_floor(case in any_case(), step in steps(40, 2000, 8000)) {
        case.on(Fidelity::Ideal, |plan, machine, e| {
            let peaks = e.engines().iter().map(|engine| engine.rate.peak.get());
            let floor = case.flops(&step) / peaks.fold(0.0, f64::max);
            prop_at_most!(floor, step_time(plan, machine, e, &step));
            Ok(())
        })?;
    }

    #[test]
    fn fused_is_never_slower_nor_larger(
        case in any_case(), request in requests(), step in steps(40, 2000, 8000),
    ) {
        let with = |attention, fusions| {
            let options = BuildOptions { attention, fusions, ..case.options };
            Case { options, ..case.clone() }
        };
        let default = with(case.options.attention, FusionSet::Default);
        let none = with(case.options.attention, FusionSet::None);
        let flash = with(AttentionKernel::Flash, case.options.fusions);
        let naive = with(AttentionKernel::Naive, case.options.fusions);
        for (fused, unfused) in [(default, none), (flash, naive)] {
            let (a, b) = (fused.summary(&request), unfused.summary(&request));
            prop_at_most!(a.total.get(), b.total.get());
            prop_at_most!(a.memory.total().get(), b.memory.total().get());
            for fidelity in [Fidelity::Ideal, Fidelity::Realistic] {
                prop_at_most!(fused.step_time(fidelity, &step), unfused.step_time(fidelity, &step));
            }
            prop_at_most!(fused.bytes(&step), unfused.bytes(&step));
        }
    }

    #[test]
    fn fewer_key_heads_are_never_slower_nor_larger(
        case in any_case(), request in requests(), step in steps(40, 2000, 8000),
    ) {
        let mut full = case.clone();
        full.model.attention.kv_heads = full.model.attention.heads;
        let (few, many) = (case.summary(&request), full.summary(&request));
        prop_at_most!(few.total.get(), many.total.get());
        prop_at_most!(few.memory.total().get(), many.memory.total().get());
        let ideal = Fidelity::Ideal;
        prop_at_most!(case.step_time(ideal, &step), full.step_time(ideal, &step));
    }

    #[test]
    fn a_window_is_never_slower_nor_larger(
        case in any_case(), request in requests(), window in 1..6000u64,
    ) {
        prop_assume!(case.model.position != Position::TransformerXl);
        let what_if = |window| {
            let change = WhatIf { window: Some(window), ..WhatIf::default() };
            Case { model: case.model.what_if(&change).expect("any window"), ..case.clone() }
        };
        let full = what_if(WindowForm::Full).summary(&request);
        let local = what_if(WindowForm::Tokens(window)).summary(&request);
        prop_at_most!(local.total.get(), full.total.get());
        prop_at_most!(local.memory.total().get(), full.memory.total().get());
    }

    #[test]
    fn twice_the_batch_takes_at_most_twice_and_at_least_once(
        case in any_case(), request in requests(), step in steps(40, 2000, 8000),
    ) {
        let once = case.time(&request);
        let twice = case.time(&request.with_batch(2 * request.batch()));
        prop_at_most!(twice, 2.0 * once);
        prop_at_most!(once, twice);
        let doubled = step.groups().iter().map(|g| Group { count: 2 * g.count, ..*g });
        let doubled = case.step_time(Fidelity::Ideal, &Step::mixed(doubled).expect("valid"));
        prop_at_most!(doubled, 2.0 * case.step_time(Fidelity::Ideal, &step));
    }

    #[test]
    fn fewer_bits_are_never_more_bytes(
        case in any_case(), request in requests(), step in steps(40, 2000, 8000),
        group in prop_oneof![Just(""), Just("-g32"), Just("-g128"), Just("-g100-zp")],
    ) {
        let with = |scheme: String| Case { scheme: scheme.parse().expect("valid"), ..case.clone() };
        let weights = [4, 8].map(|bits| with(format!("w{bits}a16{group}")));
        let cache = [4, 8].map(|bits| with(format!("w8a16{group}-kv{bits}")));
        for [few, many] in [weights, cache] {
            prop_at_most!(few.bytes(&step), many.bytes(&step));
            let memory = |case: &Case| case.summary(&request).memory;
            let (few, many) = (memory(&few), memory(&many));
            prop_at_most!(few.weights.get(), many.weights.get());
            prop_at_most!(few.kv.get(), many.kv.get());
            prop_at_most!(few.total().get(), many.total().get());
        }
    }

    #[test]
    fn twice_all_rates_take_half_the_time(case in any_case(), request in requests()) {
        let hardware = scaled(&case.hardware, Factors::uniform(2.0));
        let fast = Case { hardware, ..case.clone() }.time(&request);
        prop_assert!((2.0 * fast / case.time(&request) - 1.0).abs() < ROUNDING);
    }

    #[test]
    fn more_of_any_rate_is_never_slower(
        case in any_case(), request in requests(), k in factors(1.0..4.0),
    ) {
        let fast = Case { hardware: scaled(&case.hardware, k), ..case.clone() };
        for fidelity in [Fidelity::Ideal, Fidelity::Realistic] {
            let time = |case: &Case| {
                case.on(fidelity, |_, _, e| e.summary(&request).expect("valid").total.get())
            };
            prop_at_most!(time(&fast), time(&case));
        }
    }

    #[test]
    fn a_longer_context_is_never_faster_nor_smaller(
        case in any_case(), request in requests(), more in 1..500u64,
    ) {
        let longer: Vec<Request> = match request {
            Request::Prefill { batch, context } => {
                vec![Request::Prefill { batch, context: context + more }]
            }
            Request::Decode { batch, context } => {
                vec![Request::Decode { batch, context: context + more }]
            }
            Request::Generation { batch, prompt, output } => vec![
                Request::Generation { batch, prompt: prompt + more, output },
                Request::Generation { batch, prompt, output: output + more },
            ],
        };
        let short = case.summary(&request);
        for longer in longer {
            let long = case.summary(&longer);
            prop_at_most!(short.total.get(), long.total.get());
            prop_at_most!(short.memory.total().get(), long.memory.total().get());
            if let (Some(short), Some(long)) = (short.decode_step, long.decode_step) {
                prop_at_most!(short.get(), long.get());
            }
        }
    }

    #[test]
    fn prefill_of_one_token_is_decode_at_context_one(case in any_case(), batch in 1..300u64) {
        let prefill = case.summary(&Request::Prefill { batch, context: 1 });
        let decode = case.summary(&Request::Decode { batch, context: 1 });
        prop_assert_eq!(prefill.prefill, decode.decode_step);
        prop_assert_eq!(prefill.prefill_bound, decode.decode_bound);
        prop_assert_eq!(prefill.memory, decode.memory);
    }

    #[test]
    fn the_largest_batch_is_the_largest_that_fits(case in any_case(), request in requests()) {
        case.on(Fidelity::Ideal, |_, _, e| {
            let fits = |batch| {
                let request = request.with_batch(batch);
                let memory = e.summary(&request).expect("valid").memory;
                e.capacity(&request, &memory).fits
            };
            let memory = e.summary(&request).expect("valid").memory;
            let largest = e.capacity(&request, &memory).max_batch;
            prop_assert!(largest == 0 || fits(largest), "{} does not fit", largest);
            prop_assert!(!fits(largest + 1), "{} fits too", largest + 1);
            Ok(())
        })?;
    }

    #[test]
    fn absurd_requests_are_refused(
        case in any_case(), numbers in prop::array::uniform3(absurd()),
    ) {
        let [batch, prompt, output] = numbers;
        let all = [
            Request::Prefill { batch, context: prompt },
            Request::Decode { batch, context: prompt },
            Request::Generation { batch, prompt, output },
        ];
        case.on(Fidelity::Ideal, |_, _, e| {
            for request in all {
                if let Ok(summary) = e.summary(&request) {
                    prop_assert!(summary.total.get().is_finite() && summary.total.get() > 0.0);
                    prop_assert!(summary.memory.total().get().is_finite());
                }
            }
            Ok(())
        })?;
    }
}
