//! `estimate` and `explain`: names that scripts rely on, and sums that add up.

use crate::support::{Desk, words};
use serde_json::Value;

fn estimate(rest: &str) -> Value {
    let start = "estimate --json --model llama-2-7b --hardware a100-sxm-80gb";
    Desk::new().json(&words(&format!("{start} {rest}")))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn has(value: &Value, names: &str) {
    for name in words(names) {
        assert!(value.get(name).is_some(), "no `{name}` in {value}");
    }
}

/// Sum of a field over the operators of a phase, times their count where it is per kernel.
fn sum(json: &Value, phase: &str, field: &str) -> f64 {
    let operators = json["operators"].as_array().expect("a list").iter();
    operators.filter(|o| o["phase"] == phase).map(|o| number(&o[field])).sum()
}

#[track_caller]
fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs(), "{a} is not {b}");
}

#[test]
fn json_has_its_stable_names() {
    let json = estimate("--batch 4 --prompt 512 --output 64");
    has(&json, "model hardware quant phase batch ttft_s tpot_s prefill_s decode_tok_s");
    has(
        &json,
        "throughput_tok_s memory energy_j_per_token usd_per_mtok basis not_modelled operators",
    );
    has(&json["memory"], "weights_bytes kv_bytes activation_bytes total_bytes capacity_bytes");
    has(&json["memory"], "fits max_batch uncertain_up_to_bytes");
    has(&json, "heads window attention fusion routing prefill_bound decode_bound");
    let techniques = ["heads", "window", "attention", "fusion", "routing"];
    let said = techniques.map(|t| json[t].as_str().expect("a name").to_owned());
    assert_eq!(said, ["mha", "full", "flash", "default", "uniform"]);
    assert_eq!(json["decode_bound"], "dram");
    let operators = json["operators"].as_array().expect("a list");
    assert!(operators.len() > 10);
    for operator in operators {
        has(operator, "phase name count flops bytes intensity time_s share bound");
        let works = operator["name"] != "host";
        assert_eq!(number(&operator["bytes"]["dram"]) > 0.0, works, "{operator}");
    }
    assert_eq!(json["model"], "llama-2-7b");
    assert_eq!(json["hardware"], "a100-sxm-80gb");
    assert_eq!(json["phase"], "generation");
    assert_eq!(json["memory"]["fits"], true);
}

#[test]
fn operators_add_up_to_the_phases() {
    for rest in ["", " --quant w4a16-g128", " --no-fusion --attention naive", " --ideal"] {
        let json = estimate(&format!("--batch 4 --prompt 512 --output 64{rest}"));
        near(sum(&json, "prefill", "time_s"), number(&json["prefill_s"]));
        near(sum(&json, "decode", "time_s"), number(&json["tpot_s"]));
        near(sum(&json, "prefill", "share"), 1.0);
        near(sum(&json, "decode", "share"), 1.0);
        near(number(&json["decode_tok_s"]), 4.0 / number(&json["tpot_s"]));
        let total = number(&json["ttft_s"]) + 63.0 * number(&json["tpot_s"]);
        near(number(&json["throughput_tok_s"]), 4.0 * 64.0 / total);
        let memory = &json["memory"];
        let parts = ["weights_bytes", "kv_bytes", "activation_bytes"].map(|p| number(&memory[p]));
        near(parts.iter().sum(), number(&memory["total_bytes"]));
    }
}

#[test]
fn an_api_is_compared_in_text_and_json() {
    let json = estimate("--batch 4 --prompt 1000 --output 100 --api-price 0.03,0.06");
    let api = &json["api"];
    near(number(&api["usd_per_request"]), 0.03 + 0.006);
    let own = number(&json["usd_per_mtok"]) * 100.0 / 1e6;
    near(number(&api["own_usd_per_request"]), own);
    near(number(&api["api_per_own_cost"]), 0.036 / own);
    assert!(estimate("--batch 4 --prompt 1000 --output 100")["api"].is_null());
}

/// A T4's 16 GB are 16e9 bytes, or 16 GiB: 14.9 GiB to 16 GiB (A52).
#[test]
fn a_fit_within_the_doubt_of_a_marketing_figure_is_flagged() {
    let desk = Desk::new();
    let case = |batch: u64| {
        format!(
            "estimate --json --model llama-2-7b --quant w8a16 --hardware t4 --phase decode --context 1024 --batch {batch}"
        )
    };
    let of = |batch| desk.json(&words(&case(batch)));
    let found: Vec<Value> = (1..=24).map(of).collect();
    for json in &found {
        let memory = &json["memory"];
        let total = number(&memory["total_bytes"]);
        let doubtful = total > 16e9 && total <= 16.0 * 1024f64.powi(3);
        assert_eq!(!memory["uncertain_up_to_bytes"].is_null(), doubtful, "{memory}");
        assert_eq!(!json["warnings"].as_array().expect("a list").is_empty(), doubtful);
        assert_eq!(memory["fits"], total <= 16e9);
    }
    assert!(found.iter().any(|json| !json["memory"]["uncertain_up_to_bytes"].is_null()));
}

#[test]
fn small_sums_keep_their_digits() {
    let shown = Desk::new()
        .ok(&words("estimate --model gpt2 --hardware t4 --batch 1 --prompt 8 --output 2"));
    // 10 tokens x 2 x 12 layers x 768 x 2 B.
    let line = shown.lines().find(|line| line.contains("KV cache")).expect("a line");
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["KV", "cache", "0.352", "MiB"]);
    assert!(!shown.contains(" 0.000 "), "{shown}");
}

#[test]
fn an_operator_is_explained_in_words_that_fit_it() {
    let case = "explain --model gpt2 --hardware t4 --batch 1 --prompt 8 --output 2";
    let shown =
        Desk::new().ok(&words(&format!("{case} --attention naive --operator attn.softmax")));
    assert!(shown.contains("attention: 12 heads, 36 visible pairs"), "{shown}");
    assert!(shown.contains("1 sequence x 8 new tokens behind 0 cached"), "{shown}");
    assert!(shown.contains("1 sequence x 1 new token behind 8 cached"), "{shown}");
}

#[test]
fn one_token_has_no_time_per_output_token() {
    let json = estimate("--batch 4 --prompt 512 --output 1");
    assert!(json["tpot_s"].is_null() && json["decode_tok_s"].is_null(), "{json}");
    near(number(&json["throughput_tok_s"]), 4.0 / number(&json["ttft_s"]));
    let json = estimate("--batch 4 --phase decode --context 512");
    assert!(json["ttft_s"].is_null() && number(&json["tpot_s"]) > 0.0, "{json}");
    let json = estimate("--batch 4 --phase prefill --context 512");
    assert!(json["tpot_s"].is_null() && number(&json["prefill_s"]) > 0.0, "{json}");
}

#[test]
fn what_does_not_fit_has_no_times_unless_asked() {
    let case = "--batch 72 --phase decode --context 2048";
    let json = estimate(case);
    let memory = &json["memory"];
    assert_eq!(memory["fits"], false);
    // 2 x 32 layers x 4096 x 2 B per token (A: 16-bit cache), 72 sequences of 2048 tokens.
    near(number(&memory["kv_bytes"]), 72.0 * 2048.0 * 2.0 * 32.0 * 4096.0 * 2.0);
    assert!(number(&memory["total_bytes"]) > number(&memory["capacity_bytes"]));
    let most = memory["max_batch"].as_u64().expect("a count");
    for name in ["tpot_s", "decode_tok_s", "throughput_tok_s", "usd_per_mtok", "energy_j_per_token"]
    {
        assert!(json[name].is_null(), "{name}");
    }
    assert!(json["operators"][0]["time_s"].is_null());
    let allowed = estimate(&format!("{case} --allow-oom"));
    assert_eq!(allowed["memory"]["fits"], false);
    assert!(number(&allowed["tpot_s"]) > 0.0);
    let fits = |batch: u64| {
        let json = estimate(&format!("--batch {batch} --phase decode --context 2048"));
        json["memory"]["fits"].as_bool().expect("a truth value")
    };
    assert!(fits(most) && !fits(most + 1));
}

#[test]
fn twice_the_bandwidth_halves_what_memory_bounds() {
    let case = "--batch 1 --phase decode --context 2048 --ideal";
    let base = estimate(case);
    let what_if = estimate(&format!("{case} --set hardware.memory.dram.bandwidth=x2"));
    near(number(&base["tpot_s"]), 2.0 * number(&what_if["tpot_s"]));
    let bound = |json: &Value| {
        json["operators"].as_array().expect("a list").iter().all(|o| o["bound"] == "dram")
    };
    assert!(bound(&base));
}

#[test]
fn a_profile_of_ones_own_extends_a_bundled_one() {
    let mine = "id: mine\nextends: a100-sxm-80gb\nmemory: {dram: {bandwidth: x2}}\n";
    let desk = Desk::with(&[
        ("lab/mine.yaml", mine),
        ("lab/slow.yaml", "id: slow\nextends: ./mine.yaml\nmemory: {dram: {bandwidth: x0.5}}\n"),
    ]);
    let tpot = |hardware: &str| {
        let case = "estimate --json --model llama-2-7b --batch 1 --phase decode --context 64 --ideal --hardware";
        let json = desk.json(&[&words(case)[..], &[hardware]].concat());
        number(&json["tpot_s"])
    };
    near(tpot("a100-sxm-80gb"), 2.0 * tpot("lab/mine.yaml"));
    near(tpot("a100-sxm-80gb"), tpot("lab/slow.yaml"));
}

#[test]
fn explain_shows_the_formula_of_an_operator() {
    let case =
        "explain --model llama-2-7b --hardware a100-sxm-80gb --batch 1 --prompt 128 --output 8";
    let table = Desk::new().ok(&words(case));
    assert!(table.contains("prefill") && table.contains("attn.flash"), "{table}");
    let formula = Desk::new().ok(&words(&format!("{case} --operator attn.flash")));
    assert!(formula.contains("attn.flash") && formula.len() < table.len(), "{formula}");
    let json = Desk::new().json(&words(&format!("{case} --json")));
    has(&json, "operators ttft_s");
}
