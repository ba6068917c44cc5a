//! What an architect changes of a device moves mapped kernels as physics says: docs/COST-MODEL.md has the table.

use super::support::{Desk, words};

/// Which way a time must go.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Faster,
    Slower,
    NotFaster,
    NotSlower,
    Same,
    Other,
}

use Way::{Faster, NotFaster, NotSlower, Other, Same, Slower};

const DECODE: &str = "batch 1, decode at 4096";
const BATCH: &str = "batch 64, decode at 4096";
const PROMPT: &str = "prompt of 4096";
const SHORT: &str = "prompt of 1024";
const FP8: &str = "prompt of 4096 in fp8";
const EIGHT: &str = "batch 64, decode at 4096 on 8 devices";

/// A change of an H100, the case of Llama 3 8B, and which way its time goes.
const EDITS: &[(&str, &str, Way)] = &[
    ("memory.dram.bandwidth=x2", DECODE, Faster),
    ("memory.dram.bandwidth=x0.5", DECODE, Slower),
    ("memory.dram.bandwidth=x2", BATCH, Faster),
    ("memory.dram.bandwidth=x0.5", PROMPT, NotFaster),
    ("engines.matrix.bf16=x2", PROMPT, Faster),
    ("engines.matrix.bf16=x0.5", PROMPT, Slower),
    ("engines.matrix.bf16=x2", DECODE, Same),
    ("engines.matrix.fp8-e4m3=x2", FP8, Faster),
    ("memory.l2.bandwidth=x0.5", PROMPT, Slower),
    ("memory.l2.bandwidth=x2", PROMPT, NotSlower),
    ("memory.l2.capacity=x0.5", SHORT, Slower),
    ("memory.l2.capacity=x4", PROMPT, Faster),
    ("memory.l1.shared=x0.5", PROMPT, NotFaster),
    ("memory.l1.shared=x0.25", PROMPT, Slower),
    ("units.count=264", PROMPT, Other),
    ("units.count=66", PROMPT, Other),
    ("units.clock=x2", PROMPT, Faster),
    ("units.clock=x0.5", PROMPT, Slower),
    ("links.scaleup.bandwidth=x0.25", EIGHT, Slower),
    ("links.scaleup.bandwidth=x4", EIGHT, NotSlower),
];

fn time(desk: &Desk, case: &str, edit: Option<&str>) -> f64 {
    let request = match case {
        DECODE => "--batch 1 --phase decode --context 4096",
        BATCH => "--batch 64 --phase decode --context 4096",
        PROMPT => "--batch 1 --phase prefill --context 4096",
        SHORT => "--batch 1 --phase prefill --context 1024",
        FP8 => "--batch 1 --phase prefill --context 4096 --quant fp8",
        _ => "--batch 64 --phase decode --context 4096 --tp 8",
    };
    let edit = edit.map_or(String::new(), |e| format!("--set hardware.{e}"));
    let line = format!(
        "estimate --model llama-3-8b --hardware h100-sxm --fidelity mapped --stack trtllm --json {request} {edit}"
    );
    let found = desk.json(&words(&line));
    found["tpot_s"].as_f64().or(found["ttft_s"].as_f64()).expect("a time")
}

#[test]
fn edits_of_a_profile_move_times_as_physics_says() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/COST-MODEL.md"));
    let (page, desk) = (page.expect("a page"), Desk::new());
    let mut lacking = vec![];
    for (edit, case, way) in EDITS {
        let ratio = time(&desk, case, Some(edit)) / time(&desk, case, None);
        let holds = match way {
            Faster => ratio < 0.999,
            Slower => ratio > 1.001,
            NotFaster => ratio > 0.999_999,
            NotSlower => ratio < 1.000_001,
            Same => (ratio - 1.0).abs() < 0.01,
            Other => (ratio - 1.0).abs() > 0.001,
        };
        assert!(holds, "{edit}, {case}: {ratio:.4}, expected {way:?}");
        let row = format!("| `{edit}` | {case} | {ratio:.2} |");
        if !page.contains(&row) {
            lacking.push(row);
        }
    }
    assert!(lacking.is_empty(), "docs/COST-MODEL.md lacks\n{}", lacking.join("\n"));
}

/// What `explain` shows of the products of a prompt: tile, residency and waves of each.
fn mappings(desk: &Desk, edit: &str) -> Vec<[String; 3]> {
    let line = format!(
        "explain --model llama-3-8b --hardware h100-sxm --batch 1 --phase prefill --context 1024 --json \
         --set hardware.{edit}"
    );
    let found = desk.json(&words(&line));
    let all = found["operators"].as_array().expect("a list").clone();
    let parts = all.iter().flat_map(|o| o["mapping"].as_array().cloned().unwrap_or_default());
    let products = parts.filter(|p| p["kind"] == "matmul");
    products.map(|p| ["tile", "resident", "waves"].map(|key| p[key].to_string())).collect()
}

#[test]
fn explain_shows_what_an_edit_changes_of_the_mapping() {
    let desk = Desk::new();
    let now = mappings(&desk, "units.count=132");
    assert!(now.len() >= 5);
    // Half the on-chip memory: other tiles. Half the cache: less of it stays there. More units: other waves.
    for (edit, what) in
        [("memory.l1.shared=x0.5", 0), ("memory.l2.capacity=x0.5", 1), ("units.count=264", 2)]
    {
        let then = mappings(&desk, edit);
        assert!(now.iter().zip(&then).any(|(a, b)| a[what] != b[what]), "{edit}: {now:?} {then:?}");
    }
    let text = desk.ok(&words(
        "explain --model llama-3-8b --hardware h100-sxm --batch 1 --phase prefill --context 1024 \
         --operator attn.qkv",
    ));
    assert!(text.contains("mapped as matmul bf16") && text.contains("waves: units"), "{text}");
    assert!(text.contains("faster with matrix peak x2"), "{text}");
}
