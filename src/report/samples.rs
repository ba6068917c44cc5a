//! Data for tests: Llama-2-7B on an A100, about as its kernels behave.

use super::axis::{Axis, Better, Prefixes};
use super::bars::{Bar, BarsChart, Outcome};
use super::breakdown::{BreakdownChart, BreakdownPart, PhaseBreakdown};
use super::comparison::{ComparisonChart, ComparisonPoint};
use super::heat::HeatChart;
use super::kv::{KvReport, KvRow};
use super::memory::{MemoryChart, MemoryStack};
use super::roofline::{ComputeRoof, Emphasis, MemoryRoof, RooflineChart, RooflinePoint};
use super::step::{Limit, Phase};
use super::surface::SurfaceChart;
use crate::cost::speculative::{Cycle, Surface};
use crate::serving;
use crate::tensor::{KvLayout, Reserve, Sharing};
use crate::units::{Bytes, BytesPerSecond, FlopsPerByte, FlopsPerSecond, Seconds};
use crate::validate::Map;
use std::num::NonZeroU64;

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

pub(super) fn breakdown() -> BreakdownChart {
    let phase = |phase, rows: &[(&str, f64, f64, f64)], total: f64| {
        let part = |(operator, intensity, attained, share): &(&str, f64, f64, f64)| {
            let limit = match (*intensity, *attained) {
                (i, _) if i > 153.0 => Limit::Compute,
                (_, a) if a > 0.0 && a < 1e11 => Limit::Overhead,
                _ => Limit::Memory,
            };
            let bound = ["bf16 matrix", "DRAM", "link", "kernel launch"][limit as usize];
            BreakdownPart {
                operator: (*operator).to_owned(),
                time: Seconds::new(total * share),
                limit,
                bound: bound.to_owned(),
                detail: String::new(),
            }
        };
        let parts: Vec<BreakdownPart> = rows.iter().map(part).collect();
        let total: Seconds = parts.iter().map(|p| p.time).sum();
        PhaseBreakdown { phase, parts, range: Some([total * 0.9, total * 1.2]) }
    };
    BreakdownChart {
        title: "Llama-2-7B on NVIDIA A100 SXM4 80 GB: where the time goes".to_owned(),
        subtitle: roofline().subtitle,
        phases: vec![phase(Phase::Prefill, PREFILL, 0.1184), phase(Phase::Decode, DECODE, 7.93e-3)],
        notes: vec!["Times are of all 32 layers together.".to_owned()],
    }
}

/// Name, vendor, tokens per second, dollars per hour.
const FLEET: &[(&str, &str, f64, f64)] = &[
    ("T4", "NVIDIA", 21.0, 0.35),
    ("L4", "NVIDIA", 20.5, 0.7),
    ("A10G", "NVIDIA", 41.0, 1.01),
    ("L40S", "NVIDIA", 60.0, 1.55),
    ("RTX 3090", "NVIDIA", 65.0, 0.22),
    ("RTX 4090", "NVIDIA", 70.0, 0.39),
    ("RTX 5090", "NVIDIA", 124.0, 0.69),
    ("V100 SXM2 32 GB", "NVIDIA", 62.0, 0.9),
    ("A100 PCIe 80 GB", "NVIDIA", 135.0, 1.39),
    ("A100 SXM4 40 GB", "NVIDIA", 107.0, 1.29),
    ("A100 SXM4 80 GB", "NVIDIA", 141.0, 1.49),
    ("H100 PCIe", "NVIDIA", 141.0, 1.99),
    ("H100 SXM5", "NVIDIA", 231.0, 2.49),
    ("H200 SXM", "NVIDIA", 331.0, 3.29),
    ("B200 SXM", "NVIDIA", 552.0, 5.29),
    ("GH200", "NVIDIA", 276.0, 2.29),
    ("MI210", "AMD", 112.0, 1.2),
    ("MI250X", "AMD", 221.0, 2.2),
    ("MI300X", "AMD", 365.0, 2.49),
    ("MI325X", "AMD", 413.0, 2.9),
    ("MI355X", "AMD", 551.0, 4.5),
    ("TPU v4", "Google", 82.0, 3.22),
    ("TPU v5e", "Google", 56.0, 1.2),
    ("TPU v5p", "Google", 190.0, 4.2),
    ("TPU v6e", "Google", 113.0, 2.7),
    ("Gaudi 2", "Intel", 169.0, 1.3),
    ("Gaudi 3", "Intel", 255.0, 2.1),
    ("Max 1550", "Intel", 225.0, 2.8),
    ("Inferentia2", "AWS", 26.0, 0.76),
    ("Trainium1", "AWS", 56.0, 1.34),
    ("Trainium2", "AWS", 200.0, 2.8),
    ("M2 Ultra", "Apple", 55.0, 0.5),
];

pub(super) fn comparison() -> ComparisonChart {
    let point = |(label, group, y, x): &(&str, &str, f64, f64)| ComparisonPoint {
        label: (*label).to_owned(),
        x: *x,
        y: *y,
        group: (*group).to_owned(),
        detail: String::new(),
    };
    ComparisonChart {
        title: "Llama-2-7B: throughput against price".to_owned(),
        subtitle: "bf16, batch 1, 2048 prompt and 128 output tokens, one device each".to_owned(),
        x: Axis::new("Price", "$/h", Prefixes::Plain, Better::Lower),
        y: Axis::new("Decode throughput", "tok/s", Prefixes::Si, Better::Higher),
        points: FLEET.iter().map(point).collect(),
        groups: vec![],
        chosen: None,
        omitted: vec![
            ("Jetson Orin Nano 8 GB".to_owned(), "does not fit".to_owned()),
            ("Groq LPU".to_owned(), "no price".to_owned()),
        ],
        notes: vec!["Prices are of public clouds, on demand.".to_owned()],
    }
}

pub(super) fn memory() -> MemoryChart {
    let stack = |label: &str, parts: [f64; 3], capacity: f64| MemoryStack {
        label: label.to_owned(),
        parts: ["weights", "KV cache", "activations"]
            .map(str::to_owned)
            .into_iter()
            .zip(parts.map(|gb| Bytes::new(gb * 1e9)))
            .collect(),
        capacity: Bytes::new(capacity * 1e9),
    };
    MemoryChart {
        title: "Memory against capacity".to_owned(),
        subtitle: "Llama-2-7B, bf16, batch 16, 2048 prompt and 128 output tokens".to_owned(),
        stacks: vec![
            stack("NVIDIA B200", [13.5, 18.2, 0.3], 180.0),
            stack("NVIDIA A100 40GB", [13.5, 18.2, 0.3], 40.0),
            stack("NVIDIA T4", [13.5, 18.2, 0.3], 16.0),
        ],
        notes: vec!["Capacities are what the driver shows where it is known.".to_owned()],
    }
}

pub(super) fn kv() -> KvReport {
    let row = |layout, shares: [f64; 4]| KvRow {
        layout,
        per_sequence: 2048,
        outcome: Ok(serving::Outcome {
            requests: 34.2 * shares[0],
            shares,
            throughput: 1.0,
            preemptions: 0.0,
            saturated: true,
            lengths: (161.0, 338.0),
        }),
    };
    let longest = 2048;
    let block = NonZeroU64::MIN.saturating_add(15);
    KvReport {
        title: "OPT 13B, fp16, on 2 x NVIDIA A100 SXM 40GB (tp2), a device".to_owned(),
        subtitle: "log-normal lengths, means 161 prompt and 338 output tokens, cv 1".to_owned(),
        pool: Bytes::new(13.3e9),
        per_token: Bytes::new(819_200.0),
        slots: 16_235,
        rows: vec![
            row(KvLayout::Contiguous { reserve: Reserve::Max, longest }, [0.2, 0.1, 0.6, 0.1]),
            row(KvLayout::default(), [0.4, 0.3, 0.0, 0.3]),
            row(KvLayout::Paged { block, sharing: Sharing::NONE }, [0.96, 0.01, 0.0, 0.03]),
            KvRow {
                layout: KvLayout::Contiguous { reserve: Reserve::Pow2, longest },
                per_sequence: 2048,
                outcome: Err("a sequence of 4096 tokens has no room".to_owned()),
            },
        ],
        notes: vec!["A saturated server, seeded.".to_owned()],
    }
}

pub(super) fn bars() -> BarsChart {
    let bar = |(label, vendor, rate, _): &(&str, &str, f64, f64)| Bar {
        label: format!("{vendor} {label}"),
        outcome: Outcome::Value(1.0 / rate),
        range: Some([0.9 / rate, 1.2 / rate]),
        detail: String::new(),
    };
    let status = |label: &str, text: &str| Bar {
        label: label.to_owned(),
        outcome: Outcome::Status(text.to_owned()),
        range: None,
        detail: String::new(),
    };
    let failed = [
        status("Jetson Orin Nano 8 GB", "does not fit: 13.5 GB of weights, 7.4 GB usable"),
        status("Groq LPU", "does not fit: 13.5 GB of weights, 230 MB usable"),
    ];
    BarsChart {
        title: "Llama-2-7B: time per output token".to_owned(),
        subtitle: "bf16, batch 1, 2048 prompt and 128 output tokens, one device each".to_owned(),
        axis: Axis::new("TPOT", "s", Prefixes::Si, Better::Lower),
        bars: FLEET.iter().map(bar).chain(failed).collect(),
        notes: vec![],
    }
}

/// Loops whose draft step takes a tenth of a plain step.
pub(super) fn loops() -> Surface {
    let at = |gamma: u64| Cycle {
        gamma,
        draft: Seconds::new(0.1 * gamma as f64),
        verify: Seconds::new(1.0 + 0.02 * gamma as f64),
        plain: Seconds::new(1.0),
    };
    Surface::new((1..=16).map(at).collect())
}

pub(super) fn surface(surface: &Surface) -> SurfaceChart<'_> {
    SurfaceChart {
        title: "Llama 2 7B with a draft on A100: speed-up".to_owned(),
        subtitle: "16bit, batch 1, 512 prompt + 128 output tokens".to_owned(),
        surface,
        asked: Some((0.75, 4)),
        notes: vec!["A speed-up of 1 is plain decoding.".to_owned()],
    }
}

/// Errors of an output: one head wrong, one element not a number.
pub(super) fn errors() -> Vec<Map> {
    let heads = (0..8).map(|h| vec![if h == 3 { 500.0 } else { 0.1 }; 40]).collect();
    let mut row = vec![0.2; 32];
    row[31] = f64::INFINITY;
    vec![
        Map { rows: ("head", 8), columns: ("token", 80), tile: (1, 2), cells: heads },
        Map { rows: ("", 1), columns: ("element", 32), tile: (1, 1), cells: vec![row] },
    ]
}

pub(super) fn heat(maps: &[Map]) -> HeatChart<'_> {
    HeatChart {
        title: "out: wrong by two-reference".to_owned(),
        subtitle: "attention, 8 heads of 32, 80 tokens".to_owned(),
        maps,
    }
}
