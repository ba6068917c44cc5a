//! Known bugs of appending to a cache.

use super::KvAppendCase;
use super::place::{bugs, right};
use super::storing::{SCALINGS, Writing};
use crate::validate::{Case, Mutant};

/// The bugs on a case.
pub(super) fn of(case: &KvAppendCase) -> Vec<Mutant<'_>> {
    let places = bugs(case.cache).map(|&(name, says, place)| {
        Mutant::new(name, says, move |inputs, p| {
            case.appended(inputs, ("k", "v"), (place, (p, Writing::RIGHT)))
        })
    });
    places.chain(layouts(case)).chain(codes(case)).collect()
}

/// Of rows and caches.
fn layouts(case: &KvAppendCase) -> [Mutant<'_>; 4] {
    [
        Mutant::new("kv-swapped", "keys and values are swapped", |inputs, p| {
            case.appended(inputs, ("v", "k"), (right, (p, Writing::RIGHT)))
        }),
        Mutant::new("heads-first", "new rows are read as [heads, tokens, d]", |i, p| {
            let turned = |name: &str| case.heads_first(i.of(name), case.seq);
            case.eval(&i.with("k", turned("k")).with("v", turned("v")), p)
        }),
        Mutant::new(
            "cache-heads-first",
            "the caches are taken for [blocks or sequences, heads, places, d]",
            |inputs, p| case.caches_heads_first(inputs, p),
        ),
        Mutant::new("nothing-written", "the caches stay as they were", |inputs, _| {
            vec![inputs.of("k_cache").to_vec(), inputs.of("v_cache").to_vec()]
        }),
    ]
}

/// Of codes and scales, where the caches have them.
fn codes(case: &KvAppendCase) -> Vec<Mutant<'_>> {
    let Some(codes) = case.kv.dtype else { return vec![] };
    let right_way = Writing::RIGHT;
    let scalings = SCALINGS
        .iter()
        .map(|&(name, says, scaling)| (name, says, Writing { scaling, ..right_way }));
    let storings = right_way.storing.bugs(codes).into_iter();
    let storings =
        storings.map(|(name, says, storing)| (name, says, Writing { storing, ..right_way }));
    let of = |(name, says, writing): (&'static str, &'static str, Writing)| {
        Mutant::new(name, says, move |inputs, p| {
            case.appended(inputs, ("k", "v"), (right, (p, writing)))
        })
    };
    scalings.chain(storings).map(of).collect()
}
