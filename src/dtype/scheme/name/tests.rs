//! Names and what they mean.

use super::*;

fn scheme(text: &str) -> Scheme {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn every_example_reads_and_keeps_its_name() {
    for name in EXAMPLES {
        assert_eq!(scheme(name).name(), *name);
    }
}

#[test]
fn parts_mean_what_they_say() {
    let s = scheme("w4a16-g128-kv8");
    assert_eq!(s.weights.bits_per_element(4096), 4.125);
    assert_eq!(s.kv.bits_per_element(128), 8.125);
    assert_eq!(s.plain, Storage::plain(Format::Bf16));
    assert_eq!(s.projection, Compute::Native16);
    assert!(!s.quantizes_activations());
    let s = scheme("w8a8");
    assert_eq!(s.projection, Compute::Exact(Format::Int8));
    assert_eq!(s.high, Compute::Native16);
    assert!(s.quantizes_activations());
    assert_eq!(scheme("fp8-e5m2-kvfp8").projection, Compute::Exact(Format::Fp8E5m2));
    assert_eq!(scheme("w4abf16").high, Compute::Exact(Format::Bf16));
    assert!(scheme("wmxfp4a16-experts-kv8").experts_only);
    assert!(!scheme("wmxfp4a16").experts_only);
}

#[test]
fn another_kv_format_keeps_the_other_flags() {
    let kv = |name: &str, format: &str| scheme(name).with_kv(format).map(|s| s.name);
    assert_eq!(kv("w4a16-kv8-g128", "4").as_deref(), Ok("w4a16-g128-kv4"));
    let sparse = |name: &str, zeros: &str| scheme(name).with_sparsity(zeros).map(|s| s.name);
    assert_eq!(sparse("w8a8-kv8", "2:4").as_deref(), Ok("w8a8-kv8-s2:4"));
    assert_eq!(sparse("w8a8-static-s0.5-kv8", "dense").as_deref(), Ok("w8a8-static-kv8"));
    assert_eq!(sparse("bf16-kvfp8-e5m2-s0.5", "2:4").as_deref(), Ok("bf16-kvfp8-e5m2-s2:4"));
    let both = [scheme("w4a16-s2:4-g128"), scheme("w4a16-g128-s2:4")];
    assert_eq!(both[0].weights, both[1].weights);
    assert_eq!(kv("fp8-e5m2", "fp8-e5m2").as_deref(), Ok("fp8-e5m2-kvfp8-e5m2"));
    assert_eq!(scheme("bf16-kvfp8-e5m2").kv.element(), Some(Format::Fp8E5m2));
    assert!(kv("16bit", "5").is_err());
}

#[test]
fn nonsense_is_refused_with_a_hint() {
    for bad in [
        "",
        "w5a16",
        "q4",
        "q4_k_x",
        "iq4_xs@2023",
        "q4_k_m-g128",
        "w4a16-act",
        "w4a16-g64-pc",
        "wq4_kaq4_k",
        "bf16-g128",
        "w4a16-g0",
        "w4a16-kv5",
        "w4a16-zz",
        "w8a16-static",
        "w8a8-s2:8",
        "bf16-s0",
        "bf16-s",
        "bf16-s2:4-s0.5",
        "q4_k_m-s2:4",
        "mxfp4-s2:4",
        "gptq-4bit-s0.5",
        "mxfp4-static",
        "bf16-zp",
        "16bit-experts",
        "q4_k_m-experts",
        "w4a16-experts-experts",
        "w16a8",
        "wint32a16",
        "wtf32a16",
        "wfp32a16",
        "16bit-",
        "16bit--kv8",
        "w4a16-g64-g128",
    ] {
        let error = bad.parse::<Scheme>().err().unwrap_or_else(|| panic!("{bad} passes"));
        assert!(!error.hint.is_empty(), "{error}");
    }
}
