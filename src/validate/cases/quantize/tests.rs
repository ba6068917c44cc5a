//! Known bugs are found, right kernels pass.

use super::super::check::holds;
use super::*;
use crate::codec::{Nvfp4, Overflow};
use crate::validate::{Judged, POLICIES, Verdict, references};

fn case(element: Element, group: Option<u64>, dtype: Dtype) -> QuantizeCase {
    QuantizeCase {
        rows: 6,
        width: 192,
        element,
        group,
        static_scales: None,
        scale_mode: None,
        dtype,
        seed: 3,
    }
}

fn moded(element: Element, mode: PowerOfTwo, dtype: Dtype) -> QuantizeCase {
    QuantizeCase { scale_mode: Some(mode), ..case(element, None, dtype) }
}

fn given(element: Element, group: Option<u64>, dtype: Dtype) -> QuantizeCase {
    let shared = if group.is_some() { Static::Group } else { Static::Tensor };
    QuantizeCase { static_scales: Some(shared), ..case(element, group, dtype) }
}

#[test]
fn bugs_are_told_apart() {
    let cases = [
        case(Element::Int8, None, Dtype::Bf16),
        case(Element::Int4, Some(32), Dtype::Fp16),
        case(Element::Int4Zp, Some(64), Dtype::Fp32),
        case(Element::Fp8E4m3, None, Dtype::Bf16),
        case(Element::Fp8E5m2, Some(64), Dtype::Fp32),
        case(Element::Mxfp8, None, Dtype::Bf16),
        case(Element::Mxfp4, None, Dtype::Fp32),
        case(Element::Nvfp4, None, Dtype::Bf16),
        moded(Element::Mxfp8E5m2, PowerOfTwo::Ceil, Dtype::Bf16),
        moded(Element::Mxfp6E2m3, PowerOfTwo::Even, Dtype::Fp32),
        moded(Element::Mxfp6E3m2, PowerOfTwo::Rceil, Dtype::Bf16),
        given(Element::Int8, None, Dtype::Bf16),
        given(Element::Int4, Some(64), Dtype::Bf16),
        given(Element::Int4Zp, Some(32), Dtype::Fp32),
        given(Element::Fp8E4m3, None, Dtype::Bf16),
        given(Element::Fp8E5m2, Some(96), Dtype::Fp16),
        case(Element::GgufQ4_0, None, Dtype::Bf16),
        case(Element::GgufQ4_1, None, Dtype::Bf16),
        case(Element::GgufQ5_0, None, Dtype::Fp16),
        case(Element::GgufQ5_1, None, Dtype::Bf16),
        case(Element::GgufQ8_0, None, Dtype::Bf16),
        case(Element::GgufMxfp4, None, Dtype::Fp32),
    ];
    holds(&cases.each_ref().map(|case| case as &dyn Case));
}

/// Kernels divide by the scales of group and matrix one after the other, by their product, or multiply by
/// inverses of either: on ties their codes differ, and none is wrong.
#[test]
fn right_kernels_of_nvfp4_pass_whatever_the_seed() {
    type Kernel = fn(f32, f32, f32) -> f32;
    let kernels: [Kernel; 4] = [
        |x, scale, largest| x / (largest / 2688.0) / scale,
        |x, scale, largest| x * (1.0 / (scale * (largest / 2688.0))),
        |x, scale, largest| x * (1.0 / (scale * (1.0 / (2688.0 / largest)))),
        |x, scale, largest| x / (scale / (2688.0 / largest)),
    ];
    for seed in 0..40 {
        let (element, dtype) = (Element::Nvfp4, Dtype::Bf16);
        let case = QuantizeCase {
            rows: 37,
            width: 256,
            element,
            group: None,
            static_scales: None,
            scale_mode: None,
            dtype,
            seed,
        };
        let inputs = case.inputs();
        let references = references(&case, &inputs);
        let (x, scales) = (inputs.of("x"), &references[1].truth);
        let largest = x.iter().fold(0.0_f32, |m, x| m.max(x.abs() as f32));
        for (k, kernel) in kernels.iter().enumerate() {
            let code = |(i, x): (usize, &f64)| {
                let quotient = kernel(*x as f32, scales[i / Nvfp4::GROUP] as f32, largest);
                f64::from(Float::E2M1.encode(f64::from(quotient), Overflow::Saturate))
            };
            let got: Vec<f64> = x.iter().enumerate().map(code).collect();
            let judged = Judged { got: &got, reference: &references[0] };
            assert!(Verdict::of(&POLICIES[0], &judged).passed, "kernel {k}, seed {seed}");
        }
    }
}

/// By hand: 3.0 over 0.25 is 12, 3.125 is half way and goes to the even 12, 100 is beyond the range.
#[test]
fn a_given_scale_is_taken_as_it_is() {
    let case = given(Element::Int8, None, Dtype::Fp32);
    let mut x = vec![0.0; 6 * 192];
    x[..4].copy_from_slice(&[3.0, 3.125, 100.0, -3.125]);
    let inputs = case.inputs().with("x", x).with("scales", vec![0.25]);
    let out = case.eval(&inputs, Precision::Exact);
    assert_eq!((out.len(), &out[0][..5]), (1, &[12.0, 12.0, 127.0, -12.0, 0.0][..]));
}

/// Kernels divide or multiply by the inverse, product and sum rounded together or not.
#[test]
fn right_kernels_of_blocks_pass_whatever_the_seed() {
    for seed in 0..40 {
        let case = QuantizeCase { seed, rows: 37, ..case(Element::GgufQ4_0, None, Dtype::Bf16) };
        let inputs = case.inputs();
        let references = references(&case, &inputs);
        let fused = |x: f32, d: f32| x.mul_add(1.0 / d, 8.5);
        let divided = |x: f32, d: f32| x / d + 8.5;
        for kernel in [fused as fn(f32, f32) -> f32, divided] {
            let mut got = references[0].truth.clone();
            let blocks = inputs.of("x").chunks_exact(32).zip(got.chunks_exact_mut(18));
            for (x, bytes) in blocks {
                let larger =
                    |m: f32, &x: &f64| if x.abs() > f64::from(m).abs() { x as f32 } else { m };
                let d = x.iter().fold(0.0_f32, larger) / -8.0;
                let code = |i: usize| (kernel(x[i] as f32, d) as i32).clamp(0, 15);
                (0..16).for_each(|i| bytes[2 + i] = f64::from(code(i) | code(i + 16) << 4));
            }
            let judged = Judged { got: &got, reference: &references[0] };
            assert!(Verdict::of(&POLICIES[0], &judged).passed, "seed {seed}");
        }
    }
}

#[test]
fn rules_of_other_elements_are_refused() {
    let refused = |case: QuantizeCase, part: &str| {
        assert!(matches!(case.check(), Err(CaseError::Number(why)) if why.contains(part)));
    };
    refused(given(Element::Mxfp4, None, Dtype::Bf16), "static scales are of");
    refused(moded(Element::Int8, PowerOfTwo::Even, Dtype::Bf16), "scale_mode is of");
    refused(case(Element::GgufQ4_0, Some(64), Dtype::Bf16), "group is 32");
}
