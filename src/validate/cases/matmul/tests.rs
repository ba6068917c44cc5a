//! Known bugs of products are found, right kernels pass.

use super::super::check::{holds, told_apart};
use super::*;
use crate::validate::{Judged, POLICIES, Verdict, references};

fn case(a: &str, b: &str, dtype: Dtype) -> MatMulCase {
    let format = |name: &str| name.parse().expect("a format");
    MatMulCase {
        m: 5,
        n: 24,
        k: 160,
        a: format(a),
        b: format(b),
        dtype,
        out_dtype: None,
        non_saturating: false,
        seed: 3,
    }
}

#[test]
fn bugs_are_told_apart() {
    let cases = [
        case("bf16", "bf16", Dtype::Bf16),
        case("fp32", "fp32", Dtype::Fp32),
        case("fp8-e4m3", "fp8-e5m2", Dtype::Bf16),
        case("int8", "int8", Dtype::Fp32),
        case("bf16", "int4", Dtype::Bf16),
        MatMulCase { m: 1, ..case("fp16", "int4-zp", Dtype::Fp16) },
        case("mxfp8", "mxfp4", Dtype::Fp32),
        case("nvfp4", "nvfp4", Dtype::Bf16),
        case("bf16", "gguf-q4_0", Dtype::Fp32),
        MatMulCase { k: 256, ..case("bf16", "gguf-q4_k", Dtype::Fp32) },
        MatMulCase { k: 256, ..case("bf16", "gguf-iq4_xs", Dtype::Fp32) },
        MatMulCase { n: 160, ..case("bf16", "bf16", Dtype::Fp32) },
        MatMulCase { n: 200, k: 256, ..case("fp8-e4m3-g128", "fp8-e4m3-b128", Dtype::Bf16) },
        case("int8", "int8-zp-tensor", Dtype::Bf16),
        case("mxfp6-e3m2", "mxfp6-e2m3", Dtype::Bf16),
        MatMulCase { k: 192, ..case("bf16", "gguf-nvfp4", Dtype::Bf16) },
        case("fp16", "gguf-mxfp4", Dtype::Fp16),
        MatMulCase { k: 256, ..case("bf16", "int4-zp-g128", Dtype::Bf16) },
    ];
    holds(&cases.each_ref().map(|case| case as &dyn Case));
}

#[test]
fn every_format_has_a_case() {
    for name in Packed::names() {
        let case = MatMulCase { k: 256, ..case("bf16", &name, Dtype::Fp32) };
        assert_eq!(case.check(), Ok(()), "{name}");
        assert_eq!(name.parse::<Packed>().map(|p| p.to_string()), Ok(name));
        let inputs = case.inputs();
        assert!(case.eval(&inputs, Precision::Exact)[0].iter().all(|x| x.is_finite()));
    }
}

fn coded(a: &str, b: &str, codes: Codes, non_saturating: bool) -> MatMulCase {
    let (n, out_dtype) = (72, Some(codes));
    MatMulCase { n, out_dtype, non_saturating, ..case(a, b, Dtype::Bf16) }
}

#[test]
fn bugs_of_codes_are_told_apart() {
    let cases = [
        coded("bf16", "bf16", Codes::Int8, false),
        coded("fp32", "bf16", Codes::Int8, true),
        coded("bf16", "bf16", Codes::Fp8E4m3, false),
        coded("fp16", "fp16", Codes::Fp8E4m3, true),
        coded("bf16", "fp32", Codes::Fp8E5m2, false),
        coded("bf16", "bf16", Codes::Fp8E5m2, true),
        coded("int8", "int8", Codes::Int8, false),
        MatMulCase { m: 1, ..coded("fp8-e4m3", "fp8-e4m3", Codes::Fp8E4m3, false) },
    ];
    let (seen, all) = told_apart(&cases.each_ref().map(|case| case as &dyn Case));
    // Those of matrices with other scales show on other cases.
    let output = [
        "half-away",
        "toward-zero",
        "out-scale",
        "saturates",
        "wraps",
        "symmetric",
        "overflow",
        "written",
    ];
    let of_output: Vec<_> =
        all.iter().filter(|name| output.iter().any(|o| name.starts_with(o))).collect();
    assert_eq!(of_output.len(), 10, "{of_output:?}");
    assert!(of_output.iter().all(|name| seen.contains(*name)), "{of_output:?} but {seen:?}");
}

/// Kernels in f32 that sum in other orders, and divide or multiply by the inverse of the scale.
#[test]
fn right_kernels_of_codes_pass_whatever_the_seed() {
    let formats = [Codes::Int8, Codes::Fp8E4m3, Codes::Fp8E5m2];
    for seed in 0..60 {
        let codes = formats[seed as usize % 3];
        let inputs_of = [("bf16", "bf16"), ("fp32", "fp32"), ("int8", "int8")];
        let (a, b) = inputs_of[seed as usize / 3 % 3];
        let case = MatMulCase { seed, ..coded(a, b, codes, seed % 2 == 0) };
        let inputs = case.inputs();
        let references = references(&case, &inputs);
        let matrices = case.matrices(&inputs, RIGHT);
        let (k, scale) = (case.k as usize, inputs.of("out_scale")[0] as f32);
        for (step, inverse) in [(3, false), (7, true), (9, false)] {
            // Neighbours lie `step` apart, modulo 160.
            let dot = |x: &[f64], y: &[f64]| -> f32 {
                (0..k).map(|i| i * step % k).fold(0.0, |sum, i| sum + x[i] as f32 * y[i] as f32)
            };
            let quotient = |sum: f32| if inverse { sum * (1.0 / scale) } else { sum / scale };
            let row = |x: &[f64]| -> Vec<f32> {
                matrices.1.chunks_exact(k).map(|y| quotient(dot(x, y))).collect()
            };
            let quotients: Vec<f64> =
                matrices.0.chunks_exact(k).flat_map(row).map(f64::from).collect();
            let unit = inputs.with("out_scale", vec![1.0]);
            let got = case.written(&unit, quotients, (Precision::Kernel, case.writing()));
            let judged = Judged { got: &got, reference: &references[0] };
            let verdict = Verdict::of(&POLICIES[0], &judged);
            assert!(verdict.passed, "{} {step} {inverse}", case.title());
        }
    }
}

#[test]
fn some_codes_overflow_and_some_quotients_are_halves() {
    for codes in [Codes::Int8, Codes::Fp8E4m3, Codes::Fp8E5m2] {
        let case = coded("bf16", "bf16", codes, false);
        let inputs = case.inputs();
        let scale = inputs.of("out_scale")[0];
        let sums = case.sums(&case.matrices(&inputs, RIGHT), Precision::Exact);
        let beyond = sums.iter().filter(|s| s.abs() / scale > codes.largest() * 1.1).count();
        assert!((5..120).contains(&beyond), "{codes}: {beyond} of {}", sums.len());
        let last = &sums[sums.len() - 72..];
        assert!(
            last.iter().all(|s| codes.tie(s / scale * 0.999) == s / scale),
            "{codes}: {last:?}"
        );
    }
}

#[test]
fn overflow_of_no_codes_is_refused() {
    let case = MatMulCase { non_saturating: true, ..case("bf16", "bf16", Dtype::Bf16) };
    assert!(matches!(case.check(), Err(CaseError::Number(why)) if why.contains("out_dtype")));
}
