//! Data for tests: Llama-2-7B on an A100, about as its kernels behave.

use super::roofline::{ComputeRoof, Emphasis, MemoryRoof, RooflineChart, RooflinePoint};
use super::step::Phase;
use crate::units::{BytesPerSecond, FlopsPerByte, FlopsPerSecond};

const PREFILL: &[(&str, f64, f64, f64)] = &[
    ("qkv_proj", 877.0, 248e12, 0.235),
    ("o_proj", 683.0, 241e12, 0.081),
    ("gate_up_proj", 1105.0, 262e12, 0.402),
    ("down_proj", 924.0, 255e12, 0.206),
    ("attention", 410.0, 138e12, 0.041),
    ("rope", 0.75, 1.15e12, 0.006),
    ("attn_norm", 1.0, 1.6e12, 0.007),
    ("ffn_norm", 1.0, 1.55e12, 0.007),
    ("silu_mul", 0.83, 1.31e12, 0.012),
    ("lm_head", 1.0, 1.79e12, 0.003),
];

const DECODE: &[(&str, f64, f64, f64)] = &[
    ("qkv_proj", 0.999, 1.79e12, 0.232),
    ("o_proj", 0.999, 1.71e12, 0.079),
    ("gate_up_proj", 1.0, 1.84e12, 0.401),
    ("down_proj", 0.999, 1.8e12, 0.199),
    ("attention", 0.98, 1.42e12, 0.036),
    ("rope", 0.72, 0.021e12, 0.012),
    ("attn_norm", 0.98, 0.034e12, 0.013),
    ("ffn_norm", 0.98, 0.033e12, 0.013),
    ("silu_mul", 0.8, 0.041e12, 0.009),
    ("lm_head", 0.999, 1.76e12, 0.006),
    ("kv_append", 0.0, 0.0, 0.002),
];

fn points(phase: Phase, rows: &[(&str, f64, f64, f64)]) -> Vec<RooflinePoint> {
    let point = |(label, intensity, attained, share): &(&str, f64, f64, f64)| RooflinePoint {
        label: (*label).to_owned(),
        phase,
        intensity: FlopsPerByte::new(*intensity),
        attained: FlopsPerSecond::new(*attained),
        share: *share,
        bound: if *intensity > 153.0 { "bf16 matrix" } else { "DRAM" }.to_owned(),
        detail: String::new(),
    };
    rows.iter().map(point).collect()
}

pub(super) fn roofline() -> RooflineChart {
    let compute = |label: &str, rate, emphasis| ComputeRoof {
        label: label.to_owned(),
        rate: FlopsPerSecond::new(rate),
        emphasis,
    };
    let memory = |label: &str, rate| MemoryRoof {
        label: label.to_owned(),
        bandwidth: BytesPerSecond::new(rate),
    };
    RooflineChart {
        title: "Llama-2-7B on NVIDIA A100 SXM4 80 GB".to_owned(),
        subtitle: "bf16 weights and KV cache, batch 1, prefill 2048 tokens, decode at 2048 tokens"
            .to_owned(),
        compute_roofs: vec![
            compute("bf16 matrix 312 TFLOP/s", 312e12, Emphasis::Main),
            compute("fp32 vector 19.5 TFLOP/s", 19.5e12, Emphasis::Minor),
        ],
        memory_roofs: vec![
            memory("DRAM 2.04 TB/s", 2.039e12),
            memory("L2 5.43 TB/s", 5.43e12),
            memory("L1 19.0 TB/s", 19e12),
        ],
        points: [points(Phase::Prefill, PREFILL), points(Phase::Decode, DECODE)].concat(),
        notes: vec![
            "Peaks are the vendor’s; points include a matrix efficiency of 0.85 and a DRAM \
             efficiency of 0.92 (assumed). A cache’s roof holds for bytes served by that cache."
                .to_owned(),
            "Not modelled, no figure: special-function rate.".to_owned(),
        ],
    }
}
