//! Known bugs are found; caches hold what is appended to them.

use super::super::cache_format::CacheScales;
use super::super::check::holds;
use super::super::codes::Codes;
use super::*;
use crate::op::{KvAppend, Operand, Operator, Target};
use crate::tensor::{Mask, Step};

const CASE: KvAppendCase = KvAppendCase {
    kv_heads: 2,
    head_dim: 4,
    batch: 3,
    seq: 21,
    past: 37,
    block: 16,
    cache: CacheLayout::Table,
    kv: CacheFormat { dtype: None, scales: None },
    dtype: Dtype::Bf16,
    seed: 3,
};

fn coded(codes: Codes, scales: CacheScales) -> KvAppendCase {
    let kv = CacheFormat { dtype: Some(codes), scales: Some(scales) };
    KvAppendCase { kv, head_dim: 32, ..CASE }
}

#[test]
fn bugs_are_told_apart() {
    let cases = [
        CASE,
        KvAppendCase { seq: 1, block: 8, ..CASE },
        KvAppendCase { seq: 5, past: 0, dtype: Dtype::Fp32, ..CASE },
        KvAppendCase { cache: CacheLayout::Slots, ..CASE },
        KvAppendCase { cache: CacheLayout::Slots, batch: 7, seq: 1, ..CASE },
        KvAppendCase { cache: CacheLayout::Contiguous, ..CASE },
        coded(Codes::Fp8E4m3, CacheScales::Head),
        coded(Codes::Fp8E5m2, CacheScales::Tensor),
        KvAppendCase { cache: CacheLayout::Slots, ..coded(Codes::Int8, CacheScales::Head) },
    ];
    holds(&cases.each_ref().map(|case| case as &dyn Case));
}

/// What the graph's operator puts behind the past is what stands in the blocks.
#[test]
fn the_blocks_hold_what_the_operator_appends() {
    let (inputs, width) = (CASE.inputs(), 8);
    let caches = CASE.eval(&inputs, Precision::Exact);
    let read = |cache: &[f64], b: usize, position: usize| -> Vec<f64> {
        cache[place::row(&CASE, &inputs, b, position) * width..][..width].to_vec()
    };
    for b in 0..3 {
        let past = CASE.past_of(b);
        let before: Vec<f64> = (0..past).flat_map(|p| read(inputs.of("k_cache"), b, p)).collect();
        let new = &inputs.of("k")[b * 21 * width..][..21 * width];
        let step = Step::chunked(1, 21, past as u64).expect("valid");
        let op = KvAppend { kv_heads: 2, head_dim: 4, mask: Mask::Causal };
        let operands = [Operand::new(new, width), Operand::new(&before, width)];
        let mut out = vec![0.0; (past + 21) * width];
        op.eval(&step, &operands, &mut Target::new(&mut out, width));
        // The operator leaves past rows where they lie.
        let stored: Vec<f64> = (past..past + 21).flat_map(|p| read(&caches[0], b, p)).collect();
        assert_eq!(stored, out[past * width..], "{b}");
    }
}

/// Slots that a block table gives, and a cache of which each sequence has its own part, hold the same rows.
#[test]
fn slots_and_contiguous_caches_hold_what_blocks_do() {
    let exact = Precision::Exact;
    let slots = KvAppendCase { cache: CacheLayout::Slots, ..CASE };
    let own = KvAppendCase { cache: CacheLayout::Contiguous, ..CASE };
    let (by_table, by_slot, in_a_row) = (CASE.inputs(), slots.inputs(), own.inputs());
    let caches =
        [CASE.eval(&by_table, exact), slots.eval(&by_slot, exact), own.eval(&in_a_row, exact)];
    let mapping = by_slot.of("slot_mapping");
    assert!(mapping.contains(&-1.0) && mapping.iter().filter(|s| **s >= 0.0).count() > 40);
    for (token, &slot) in mapping.iter().enumerate() {
        let (b, t) = (token / 21, token % 21);
        let row = place::row(&CASE, &by_table, b, CASE.past_of(b) + t);
        let rows =
            [row, slot.max(0.0) as usize, place::row(&own, &in_a_row, b, own.past_of(b) + t)];
        let read = |which: usize| caches[which][0][rows[which] * 8..][..8].to_vec();
        let new = &by_table.of("k")[token * 8..][..8];
        assert_eq!(read(0), new, "{token}");
        assert_eq!(read(2), new, "{token}");
        assert!(slot < 0.0 || (read(1) == new && slot as usize == row), "{token}");
    }
    let untouched =
        by_slot.of("k_cache").chunks_exact(8).zip(caches[1][0].chunks_exact(8)).enumerate();
    let changed =
        untouched.filter(|(_, (before, after))| before != after).map(|(row, _)| row as f64);
    assert!(changed.into_iter().all(|row| mapping.contains(&row)), "padding is written nowhere");
}

#[test]
fn codes_are_quotients_to_the_nearest() {
    let case = coded(Codes::Int8, CacheScales::Tensor);
    let inputs = case.inputs().with("k_scale", vec![0.5]);
    let k = vec![1.25; inputs.of("k").len()];
    let out = case.eval(&inputs.with("k", k), Precision::Exact).remove(0);
    let row = place::row(&case, &inputs, 0, case.past_of(0));
    // Half way between 2 and 3.
    assert_eq!(out[row * 64], 2.0);
}
