//! What a machine says of well-known devices.

use super::*;
use crate::dtype::Format;
use crate::dtype::{Compute, Scheme};
use crate::hardware::{EngineClass, NoPrice, bundled, load};
use crate::provenance::Basis;
use crate::units::{BytesPerSecond, DollarsPerHour, FlopsPerByte};
use crate::units::{FlopsPerSecond, Ratio, Seconds};

fn machine(id: &str, fidelity: Fidelity) -> Machine {
    let hardware = load(id, &bundled::source).unwrap_or_else(|e| panic!("{id}: {e}"));
    Machine::compile(&hardware, fidelity)
}

#[test]
fn ideal_has_peaks_and_no_overhead() {
    let ideal = machine("a100-sxm-80gb", Fidelity::Ideal);
    let engine = ideal.matrix(Compute::Native16).expect("bf16");
    assert_eq!(engine.format, Format::Bf16);
    assert_eq!(engine.rate.effective(), FlopsPerSecond::new(312e12));
    assert_eq!(engine.rate.basis, Basis::Datasheet);
    assert_eq!(ideal.levels[ideal.dram].effective(), Some(BytesPerSecond::new(2039e9)));
    assert_eq!(ideal.kernel_launch.value, Seconds::ZERO);
    assert!(ideal.fallbacks.is_empty());
    let ridge = ideal.ridge_point(Format::Bf16, ideal.dram);
    assert_eq!(ridge, Some(FlopsPerByte::new(312e12 / 2039e9)));
    assert_eq!(ideal.level_names().collect::<Vec<_>>(), ["l1", "l2", "dram"]);
}

#[test]
fn realistic_carries_efficiencies_with_their_origin() {
    let real = machine("a100-sxm-80gb", Fidelity::Realistic);
    let rate = real.matrix_rate(Format::Bf16).expect("bf16");
    assert_eq!(rate.effective(), FlopsPerSecond::new(312e12) * 0.845);
    assert_eq!(rate.basis, Basis::Measured);
    assert_eq!(real.origin(rate.origin).path, "efficiency.matrix");
    assert_eq!(real.levels[real.dram].efficiency, Ratio::new(0.831));
    assert_eq!(real.kernel_launch.value, Seconds::new(1.4e-6));
    assert_eq!(real.fallbacks, ["efficiency.vector = 0.75 (A4)"]);
    assert_eq!(real.not_modelled, ["special-function rate: no figure"]);
}

#[test]
fn fallbacks_and_missing_roofs_are_listed() {
    let t4 = machine("t4", Fidelity::Realistic);
    assert_eq!(t4.matrix(Compute::Native16).expect("fp16").format, Format::Fp16);
    assert_eq!(
        t4.fallbacks,
        [
            "efficiency.matrix = 0.75 (A4)",
            "efficiency.vector = 0.75 (A4)",
            "efficiency.memory.dram = 0.8 (A4)",
            "overhead.kernel_launch = 2.00 us (A4)",
        ]
    );
    assert_eq!(
        t4.not_modelled,
        [
            "special-function rate: no figure",
            "l1 bandwidth: no figure",
            "l2 bandwidth: no figure",
            "money: no hourly price figure",
        ]
    );
    assert_eq!(t4.price(None), Err(NoPrice::NoFigure { machine: "t4".into() }));
}

#[test]
fn a_missing_engine_is_refused_with_a_substitute_that_exists() {
    let a100 = machine("a100-sxm-80gb", Fidelity::Ideal);
    let fp32 = a100.matrix(Compute::Exact(Format::Fp32)).expect("vector engine");
    assert_eq!(fp32.class, EngineClass::Vector);
    let error = a100.matrix(Compute::Exact(Format::Fp8E4m3)).expect_err("refused");
    insta::assert_snapshot!(crate::diagnostic::Diagnostic::from(error), @"
    error: a100-sxm-80gb has no fp8-e4m3 matrix engine
     = help: it has tf32, bf16, fp16, int8, int4; the closest scheme is `wfp8a16`
    ");
    let mut none = a100.clone();
    none.matrix = [None; Format::COUNT];
    none.vector = None;
    for compute in Format::ALL.iter().map(|f| Compute::Exact(*f)).chain([Compute::Native16]) {
        let scheme = none.matrix(compute).expect_err("refused").substitute;
        scheme.parse::<Scheme>().unwrap_or_else(|e| panic!("{scheme}: {e}"));
    }
}

#[test]
fn prices_have_an_order_and_a_reason() {
    let a100 = machine("a100-sxm-80gb", Fidelity::Ideal);
    assert_eq!(a100.price(None).map(|p| p.price.value), Ok(DollarsPerHour::new(1.29)));
    let named = a100.price(Some("cloud-hyperscaler")).map(|p| p.price.value);
    assert_eq!(named, Ok(DollarsPerHour::new(4.0)));
    let error = a100.price(Some("cloud-hi")).expect_err("refused").to_string();
    assert!(error.contains("it has: cloud-low, cloud-hyperscaler"), "{error}");
}
