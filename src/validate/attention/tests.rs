//! Right kernels pass, known bugs are found, on seeded cases.

use super::*;
use crate::validate::{POLICIES, Verdict};

const FORMATS: [Float; 3] = [Float::BF16, Float::FP32, Float::FP16];

fn case(seed: u64, format: Float) -> Case {
    let pick = |of: &[u64], by: u64| of[(seed / by) as usize % of.len()];
    let keys = pick(&[37, 70, 135, 9], 1);
    Case {
        heads: 4,
        kv_heads: pick(&[2, 4, 1], 2),
        head_dim: pick(&[8, 16], 5),
        batch: 1,
        queries: pick(&[1, 3, 5], 3).min(keys),
        keys,
        window: (seed % 5 == 4).then_some(33),
        softcap: (seed % 7 == 6).then_some(2.0),
        alibi: seed % 11 == 10,
        sinks: seed % 13 == 12,
        format,
        seed,
    }
}

/// A right kernel's schedule in the case's precision.
fn kernel(case: &Case, tile: usize, splits: usize, wide: bool) -> Schedule {
    let narrow = Some(case.format);
    let probabilities = if wide { None } else { narrow };
    Schedule { tile, splits, probabilities, output: narrow, bugs: Bugs::NONE }
}

#[test]
fn a_schedule_without_bugs_is_the_operators() {
    for seed in 0..150 {
        let case = case(seed, Float::FP32);
        let inputs = case.inputs();
        let (truth, tile) = (case.truth(&inputs), [16, 32, 64][seed as usize % 3]);
        for splits in [1, 4] {
            let got = Schedule { tile, splits, ..Schedule::PLAIN }.run::<f64>(&case, &inputs);
            for (a, b) in got.iter().zip(&truth) {
                assert!((a - b).abs() < 1e-12, "{case:?} {a} {b}");
            }
        }
    }
}

#[test]
fn a_right_kernel_is_never_failed() {
    for seed in 0..1000 {
        let case = case(seed, FORMATS[seed as usize % 3]);
        let inputs = case.inputs();
        let references = case.references(&inputs);
        for (tile, splits, wide) in [(32, 1, false), (64, 4, false), (128, 1, true), (32, 4, true)]
        {
            let got = kernel(&case, tile, splits, wide).run::<f32>(&case, &inputs);
            let verdict = Verdict::of(&POLICIES[0], &case.judged(&got, &references));
            assert!(
                verdict.passed,
                "{case:?} {tile} {splits} {} {}",
                verdict.measured, verdict.limit
            );
        }
    }
}

#[test]
fn sums_in_fp16_over_8k_keys_are_told_apart() {
    for format in FORMATS {
        let case = Case { keys: 8192, queries: 1, head_dim: 16, window: None, ..case(0, format) };
        let inputs = case.inputs();
        let references = case.references(&inputs);
        let judge = |bugs: Bugs| {
            let schedule = Schedule { bugs, ..kernel(&case, 64, 1, false) };
            let got = schedule.run::<f32>(&case, &inputs);
            Verdict::of(&POLICIES[0], &case.judged(&got, &references)).passed
        };
        assert!(judge(Bugs::NONE), "{format:?}");
        assert!(!judge(Bugs { sums: Some(Float::FP16), ..Bugs::NONE }), "{format:?}");
    }
}

/// Prefill and decode with every feature that hides no mutant of another.
fn shown(format: Float, queries: u64, window: Option<u64>, extras: bool) -> Case {
    let (softcap, seed) = (extras.then_some(2.0), 7);
    let (alibi, sinks) = (extras, extras);
    let (heads, kv_heads, head_dim, batch, keys) = (8, 2, 16, 2, 150);
    Case {
        heads,
        kv_heads,
        head_dim,
        batch,
        queries,
        keys,
        window,
        softcap,
        alibi,
        sinks,
        format,
        seed,
    }
}

#[test]
fn every_observable_mutant_is_ranked_first() {
    let mut seen = std::collections::BTreeSet::new();
    for (format, queries, extras) in [
        (Float::BF16, 20, false),
        (Float::FP32, 20, false),
        (Float::BF16, 1, true),
        (Float::FP32, 1, true),
        (Float::FP32, 1, false),
    ] {
        let window = (queries == 20).then_some(70);
        let case = shown(format, queries, window, extras);
        let inputs = case.inputs();
        let references = case.references(&inputs);
        for mutant in MUTANTS {
            let mut schedule = kernel(&case, 32, 1, false);
            (mutant.plant)(&mut schedule);
            let got = schedule.run::<f32>(&case, &inputs);
            let judged = case.judged(&got, &references);
            let found = diagnose(&case, &inputs, &got, (&references.truth, &judged.tolerance()));
            if found.not_observable.contains(&mutant.name) {
                continue;
            }
            let first = &found.suspects[0];
            let ranks: Vec<_> = found.suspects.iter().map(|s| (&s.names, s.residual)).collect();
            assert!(
                first.names.contains(&mutant.name),
                "{} in {case:?}: {:?}",
                mutant.name,
                &ranks[..3]
            );
            assert!(found.cause().is_some(), "{} {case:?}", mutant.name);
            assert!(!Verdict::of(&POLICIES[0], &judged).passed, "{} {case:?}", mutant.name);
            seen.insert(mutant.name);
        }
    }
    let never: Vec<_> = MUTANTS.iter().map(|m| m.name).filter(|n| !seen.contains(n)).collect();
    assert!(never.is_empty(), "no case shows {never:?}");
}
