//! Known bugs are found, a sequence is its own.

use super::super::cache_format::CacheScales;
use super::super::check::holds;
use super::super::codes::Codes;
use super::*;

fn case(dtype: Dtype, seed: u64) -> VarlenCase {
    VarlenCase {
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        value_dim: None,
        queries: vec![20, 1, 37],
        keys: vec![150, 70, 137],
        window: None,
        kv: CacheFormat::default(),
        softcap: None,
        alibi: false,
        dtype,
        seed,
    }
}

#[test]
fn bugs_are_found_and_right_kernels_pass() {
    let windowed = VarlenCase { window: Some(33), ..case(Dtype::Bf16, 2) };
    let capped = VarlenCase { softcap: Some(2.0), alibi: true, ..case(Dtype::Fp16, 3) };
    let decode =
        VarlenCase { queries: vec![1; 4], keys: vec![141, 9, 37, 200], ..case(Dtype::Fp32, 4) };
    let narrow = VarlenCase { value_dim: Some(10), ..case(Dtype::Bf16, 6) };
    let cached = |kv, seed| VarlenCase {
        kv: CacheFormat { dtype: Some(kv), scales: Some(CacheScales::Head) },
        ..case(Dtype::Bf16, seed)
    };
    let e4m3 = cached(Codes::Fp8E4m3, 7);
    let int8 = VarlenCase { value_dim: Some(24), ..cached(Codes::Int8, 8) };
    let plain = [case(Dtype::Bf16, 1), case(Dtype::Fp32, 5)];
    holds(&[&plain[0], &windowed, &capped, &decode, &plain[1], &narrow, &e4m3, &int8]);
}

#[test]
fn a_sequence_is_what_it_is_alone() {
    let both = case(Dtype::Fp32, 6);
    let one = VarlenCase { queries: vec![20], keys: vec![150], ..both.clone() };
    let inputs = both.inputs();
    let cut = |name: &str, heads: usize, rows: usize| inputs.of(name)[..rows * heads * 16].to_vec();
    let alone = one.inputs().with("q", cut("q", 4, 20)).with("k", cut("k", 2, 150));
    let alone = alone.with("v", cut("v", 2, 150));
    let (all, first) = (both.eval(&inputs, Precision::Exact), one.eval(&alone, Precision::Exact));
    assert_eq!(all[0][..20 * 4 * 16], first[0][..]);
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let of = |queries: &[u64], keys: &[u64]| {
        let (queries, keys) = (queries.to_vec(), keys.to_vec());
        VarlenCase { queries, keys, ..case(Dtype::Bf16, 1) }.check()
    };
    assert!(matches!(of(&[1, 2], &[3]), Err(CaseError::Number(_))));
    assert!(matches!(of(&[], &[]), Err(CaseError::Number(_))));
    assert!(matches!(of(&[4], &[3]), Err(CaseError::Keys { queries: 4, keys: 3 })));
    assert!(matches!(of(&[0], &[3]), Err(CaseError::Number(_))));
    assert_eq!(of(&[3], &[3]), Ok(()));
}
