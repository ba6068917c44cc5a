//! `distill`, and schemes and zeros on the command line.

use crate::support::{Desk, words};
use insta::assert_snapshot;
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

const PAIR: &str = "distill --model llama-3-70b --student llama-3-8b --hardware h100-sxm";

#[test]
fn a_student_is_compared_at_the_same_request() {
    let json =
        Desk::new().json(&words(&format!("{PAIR} --batch 8 --prompt 512 --output 64 --json")));
    let (teacher, student) = (&json["teacher"], &json["student"]);
    // 70B in 16 bits needs two devices of 80 GB, 8B one.
    assert_eq!((number(&teacher["devices"]), number(&student["devices"])), (2.0, 1.0));
    assert_eq!((number(&teacher["batch"]), number(&student["batch"])), (8.0, 8.0));
    for key in ["tpot_s", "usd_per_mtok", "memory_bytes_per_device", "parameters"] {
        let ratio = number(&teacher[key]) / number(&student[key]);
        assert!((number(&json["teacher_over_student"][key]) - ratio).abs() < 1e-9 && ratio > 1.0);
    }
    // The student is the estimate of its own.
    let alone =
        "estimate --model llama-3-8b --hardware h100-sxm --batch 8 --prompt 512 --output 64";
    let alone = Desk::new().json(&words(&format!("{alone} --json")));
    assert_eq!(alone["tpot_s"], student["tpot_s"]);
}

#[test]
fn under_limits_each_takes_its_largest_batch() {
    let case = format!("{PAIR} --batch 1 --prompt 512 --output 64 --slo ttft=1s,tpot=30ms --json");
    let json = Desk::new().json(&words(&case));
    for side in ["teacher", "student"] {
        let found = &json[side];
        assert!(number(&found["ttft_s"]) <= 1.0 && number(&found["tpot_s"]) <= 0.03, "{found}");
    }
    assert!(number(&json["student"]["batch"]) > number(&json["teacher"]["batch"]), "{json}");
    let table = Desk::new().ok(&words(&case.replace(" --json", "")));
    assert!(table.contains("teacher / student") && table.contains("ttft=1s,tpot=30ms"), "{table}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let refused = |rest: &str| Desk::new().refused(&words(&format!("{PAIR} {rest}")));
    assert_snapshot!(refused("--batch 8 --phase decode --context 512"), @"
    error: distill compares whole requests, not a phase
     = help: give --prompt and --output
    ");
    assert_snapshot!(refused("--batch 8 --prompt 512 --output 64 --slo tpot=1us --max-devices 2"), @"
    error: llama-3-70b does not give this service: TPOT above 1.00 us; out of memory
     = help: up to 2 devices were tried; --max-devices, --slo
    ");
}

#[test]
fn scheme_files_and_zeros_are_axes_too() {
    let text = include_str!("../../../workloads/schemes/w8a8-edges-16bit.yaml");
    let scenario = "model: llama-3-8b\nquant: mixed.yaml\nsparsity: 2:4\n\
                    traffic: {batch: 1, prompt: 128, output: 16}\n";
    let desk = Desk::with(&[("mixed.yaml", text), ("ours.yaml", scenario)]);
    let fall = desk.json(&words(
        "waterfall chat --hardware h100-sxm --fidelity roofline --json --step quant=mixed.yaml --step sparsity=2:4 \
         --step quant=w8a8",
    ));
    let steps = fall["steps"].as_array().expect("a list");
    let together = |i: usize| number(&steps[i]["together"]);
    assert!(number(&fall["base"]) > together(0) && together(0) > together(1));
    assert!(together(1) > together(2), "{fall}");
    let csv = "sweep ./ours.yaml --hardware h100-sxm --set sparsity=dense,2:4,0.1 --out swept";
    let shown = desk.ok(&words(csv));
    for name in ["w8a8-edges-16bit ", "w8a8-edges-16bit-s2:4", "w8a8-edges-16bit-s0.1"] {
        assert!(shown.contains(name), "{shown}");
    }
    let case = "estimate --model llama-3-8b --hardware mi300x --batch 1 --prompt 128 --output 16";
    let sparse = desk.json(&words(&format!("{case} --sparsity 2:4 --json")));
    let fallbacks = sparse["fallbacks"].to_string();
    assert!(fallbacks.contains("engines.sparse.bf16"), "{fallbacks}");
    assert_eq!(sparse["quant"], "16bit-s2:4");
}
