//! KV layouts and host memory from arguments, axes and `cosim kv`.

use crate::support::{Desk, words};
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

const CASE: &str =
    "estimate --model llama-3-8b --hardware h100-sxm --batch 4 --prompt 1000 --output 100";

#[test]
fn layouts_change_memory_and_the_default_is_exact() {
    let desk = Desk::new();
    let memory = |rest: &str| desk.json(&words(&format!("{CASE} --json {rest}")))["memory"].clone();
    let slot = 4.0 * 131_072.0;
    for (rest, slots) in [
        ("", 1100),
        ("--kv-layout contiguous --kv-reserve oracle", 1100),
        ("--kv-reserve pow2", 1128),
        ("--kv-reserve max:2048", 2048),
        ("--kv-layout paged", 1104),
        ("--kv-layout paged --block-size 256", 1280),
    ] {
        let found = memory(rest);
        assert_eq!(found["kv_slots_per_sequence"], slots, "{rest}");
        assert_eq!(number(&found["kv_bytes"]), slot * f64::from(slots), "{rest}");
        assert_eq!(number(&found["kv_unused_bytes"]), slot * f64::from(slots - 1100), "{rest}");
    }
    let table = desk.ok(&words(&format!("{CASE} --kv-layout paged:256")));
    assert!(table.contains("paged:256: 1280 slots a sequence"), "{table}");
}

#[test]
fn offloaded_weights_leave_the_device_and_wait_for_the_host() {
    let desk = Desk::new();
    let json = |rest: &str| desk.json(&words(&format!("{CASE} --json {rest}")));
    let (plain, far) = (json(""), json("--offload weights"));
    assert_eq!(number(&far["memory"]["weights_bytes"]), 0.0);
    assert_eq!(far["memory"]["offloaded_bytes"], plain["memory"]["weights_bytes"]);
    assert!(number(&far["tpot_s"]) > 10.0 * number(&plain["tpot_s"]));
    assert_eq!(far["decode_bound"], "host link");
    assert_eq!(far["offload"], "weights");
    assert!(far["fallbacks"].to_string().contains("links.host.efficiency"), "{far}");
    let table = desk.ok(&words(&format!("{CASE} --offload kv,weights")));
    assert!(table.contains("in host memory"), "{table}");
}

#[test]
fn axes_lay_the_cache_out() {
    let desk = Desk::new();
    let axes = "sweep chat --hardware h100-sxm --csv-only --out out --set traffic.batch=1 --set quant=bf16 \
                --set kv_cache.layout=contiguous,paged:16,paged:128 --set offload=none,kv+weights";
    desk.ok(&words(axes));
    let text = desk.read("out/sweep.csv");
    let mut lines = text.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let names = lines.next().expect("a head");
    let at = |name: &str| names.iter().position(|n| *n == name).expect("a column");
    let rows: Vec<[&str; 3]> = lines
        .map(|row| [row[at("kv_layout")], row[at("offload")], row[at("kv_unused_bytes")]])
        .collect();
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0], ["contiguous", "none", "0"]);
    assert_eq!(rows[5][..2], ["paged:128", "kv+weights"]);
    assert!(rows[4][2].parse::<f64>().expect("bytes") > 0.0);
}

#[test]
fn sequences_share_a_prefix_and_a_prompt() {
    let desk = Desk::new();
    let case =
        "estimate --model llama-3-8b --hardware h100-sxm --batch 8 --prompt 1024 --output 64";
    let plain = desk.json(&words(&format!("{case} --kv-layout paged --json")));
    let json = desk.json(&words(&format!("{case} --samples 4 --shared-prefix 512 --json")));
    assert_eq!(json["kv_layout"], "paged:16 + prefix 512 + 4 samples");
    let bytes = |json: &Value, name: &str| number(&json["memory"][name]);
    let slot = bytes(&plain, "kv_bytes") / 8.0 / 1088.0;
    assert_eq!(bytes(&json, "kv_common_bytes"), 512.0 * slot);
    assert_eq!(bytes(&json, "kv_bytes"), (512.0 + 2.0 * 512.0 + 8.0 * 64.0) * slot);
    assert!(bytes(&json, "max_batch") > 2.0 * bytes(&plain, "max_batch"), "{json}");
    assert!(number(&json["ttft_s"]) < number(&plain["ttft_s"]) / 5.0, "{json}");
    let table = desk.ok(&words(&format!("{case} --samples 4 --shared-prefix 512")));
    for text in ["prefix", "512 tokens that no prompt computes", "of up to 4 samples"] {
        assert!(table.contains(text), "{table}");
    }
    let axes = "sweep chat --hardware h100-sxm --csv-only --out out --set traffic.batch=8 \
                --set kv_cache.beams=1,4 --set kv_cache.shared_prefix=0,64";
    desk.ok(&words(axes));
    let text = desk.read("out/sweep.csv");
    for layout in ["contiguous", "paged:16 + prefix 64", "paged:16 + prefix 64 + 4 beams"] {
        assert!(text.contains(&format!(",{layout},")), "{text}");
    }
    let fall =
        "waterfall chat --hardware h100-sxm --json --metric memory --step kv_cache.samples=8";
    let fall = desk.json(&words(fall));
    assert!(number(&fall["steps"][0]["together"]) < number(&fall["base"]), "{fall}");
}

#[test]
fn capacity_and_waste_by_layout() {
    let desk = Desk::new();
    let case = "kv --model opt-13b --quant fp16 --hardware a100-sxm-40gb";
    let json = desk.json(&words(&format!("{case} --json -o kv.svg --csv kv.csv")));
    let rows = json["layouts"].as_array().expect("a list");
    assert_eq!(rows.len(), 4);
    let used = |i: usize| number(&rows[i]["used"]);
    assert!(used(0) < used(1) && used(1) < used(2) && used(2) < used(3), "{json}");
    for row in rows {
        let parts = ["used", "reserved", "internal", "external"].map(|p| number(&row[p]));
        assert!((parts.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{row}");
        assert!(number(&row["sequences"]) >= 1.0);
    }
    assert_eq!(rows[3]["slots_per_sequence"], 512);
    assert_eq!(json, desk.json(&words(&format!("{case} --json"))), "seeded");
    let csv = desk.read("kv.csv");
    let mut lines = csv.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let names = lines.next().expect("a head");
    for (line, row) in lines.zip(rows) {
        for (name, text) in names.iter().zip(line) {
            let value = row.get(name).expect("a field of the JSON");
            match value.as_f64() {
                // JSON reads the last digit otherwise.
                Some(n) => assert!((text.parse::<f64>().expect(name) - n).abs() <= 1e-12 * n.abs()),
                None => assert_eq!(text, value.as_str().unwrap_or_default(), "{name}"),
            }
        }
    }
    assert_eq!(csv.lines().count(), 5);
    roxmltree::Document::parse(&desk.read("kv.svg")).expect("well-formed XML");
    assert!(desk.ok(&words(case)).contains("paged:16"));
}
