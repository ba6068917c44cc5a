//! Laws of the allocators under load, and of the server.

use super::*;
use crate::serving::{Contiguous, Paged, Reserve};
use proptest::prelude::*;
use std::num::NonZeroU64;

fn block(size: u64) -> NonZeroU64 {
    NonZeroU64::new(size).expect("above zero")
}

fn allocators(slots: u64, size: u64) -> Vec<Box<dyn Allocator>> {
    let contiguous = |reserve| Box::new(Contiguous::new(slots, reserve, 64)) as Box<dyn Allocator>;
    let mut all: Vec<Box<dyn Allocator>> =
        Reserve::ALL.iter().map(|(_, reserve)| contiguous(*reserve)).collect();
    all.push(Box::new(Paged::new(slots, block(size), 0.01)));
    all
}

proptest! {
    #[test]
    fn the_four_parts_add_up_to_the_pool_at_any_moment(
        slots in 64..2000u64,
        size in 1..33u64,
        moves in prop::collection::vec((0..8u64, 0..6u8, 1..32u64, 1..32u64), 1..150),
    ) {
        for mut allocator in allocators(slots, size) {
            let mut tokens = std::collections::BTreeMap::new();
            for &(id, action, prompt, output) in &moves {
                match action {
                    0 => {
                        let demand = Demand { prompt, output, done: 0 };
                        if allocator.admit(id, &demand).is_ok() {
                            prop_assert!(tokens.insert(id, (prompt, prompt + output)).is_none());
                        }
                    }
                    1 => {
                        let known = tokens.remove(&id).is_some();
                        prop_assert_eq!(allocator.release(id).is_ok(), known);
                    }
                    _ => {
                        let more = tokens.get(&id).is_some_and(|(now, total)| now < total);
                        if more && allocator.append(id).is_ok() {
                            tokens.entry(id).and_modify(|(now, _)| *now += 1);
                        }
                    }
                }
                let usage = allocator.usage();
                prop_assert_eq!(usage.total(), slots);
                let mut held = 0;
                for (id, (now, total)) in &tokens {
                    let own = allocator.usage_of(*id).expect("known");
                    prop_assert_eq!(own.used, *now);
                    prop_assert!(own.used + own.reserved <= *total);
                    held += own.used;
                }
                prop_assert_eq!(usage.used, held);
            }
            for id in tokens.keys() {
                allocator.release(*id).expect("known");
            }
            prop_assert_eq!(allocator.usage(), Usage { external: slots, ..Usage::default() });
        }
    }
}

fn load() -> Load {
    let lengths = Lengths { prompt: 12.0, output: 10.0, cv: 0.7, longest: 64 };
    Load { rate: 1e3, lengths, warm_up: 50, measured: 300, seed: 3 }
}

#[test]
fn the_same_seed_gives_the_same_run_and_paging_batches_most() {
    let run = |allocator: &mut dyn Allocator| {
        simulate(allocator, &load(), &|_| Seconds::new(0.1)).expect("every request fits")
    };
    let all: Vec<Outcome> = allocators(520, 4).iter_mut().map(|a| run(a.as_mut())).collect();
    let again: Vec<Outcome> = allocators(520, 4).iter_mut().map(|a| run(a.as_mut())).collect();
    assert_eq!(all, again);
    let [max, pow2, oracle, paged] = &all[..] else { panic!("four allocators") };
    assert!((max.requests - 8.0).abs() < 1e-9, "520 / 64 reservations: {max:?}");
    assert!(max.requests < pow2.requests && pow2.requests <= oracle.requests);
    assert!(oracle.requests < paged.requests && paged.preemptions > 0.0);
    for outcome in &all {
        assert!(outcome.saturated && (outcome.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}

#[test]
fn an_idle_server_waits_for_arrivals() {
    let mut paged = Paged::new(520, block(4), 0.01);
    let slow = Load { rate: 0.001, ..load() };
    let outcome = simulate(&mut paged, &slow, &|_| Seconds::new(0.01)).expect("fits");
    assert!(!outcome.saturated && outcome.requests < 1.2, "{outcome:?}");
}

#[test]
fn a_request_that_can_never_fit_is_an_error() {
    let mut paged = Paged::new(8, block(4), 0.01);
    let outcome = simulate(&mut paged, &load(), &|_| Seconds::new(0.01));
    assert!(matches!(outcome, Err(AllocError::TooLong(_))));
}
