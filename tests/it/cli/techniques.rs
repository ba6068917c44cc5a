//! `waterfall` and `reproduce`: what techniques buy, and what papers say.

use crate::support::{Desk, words};
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[track_caller]
fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs(), "{a} is not {b}");
}

#[test]
fn a_waterfall_composes() {
    let json = Desk::new().json(&words(
        "waterfall chat --hardware h100-sxm --json --step quant=w4a16-g128 \
         --step kv_cache.format=8 --step hardware.memory.dram.bandwidth=x2",
    ));
    let steps = json["steps"].as_array().expect("a list");
    assert_eq!(steps.len(), 3);
    // The first has nothing before it.
    near(number(&steps[0]["alone"]), number(&steps[0]["together"]));
    near(number(&steps[0]["interaction"]), 1.0);
    let gains: f64 = steps.iter().map(|s| number(&s["together_gain"])).product();
    near(gains, number(&json["base"]) / number(&steps[2]["together"]));
    // Fewer weight bytes leave less for a faster memory to gain against the launches.
    assert!(number(&steps[2]["interaction"]) < 1.0, "{json}");
}

#[test]
fn a_waterfall_equals_the_estimates_of_its_ends() {
    let desk = Desk::new();
    let fall = desk.json(&words(
        "waterfall chat --hardware h100-sxm --json --step quant=w8a16 --step traffic.batch=2",
    ));
    let tpot = |rest: &str| {
        let start = "estimate --json --model llama-3-8b --hardware h100-sxm --prompt 1155";
        number(&desk.json(&words(&format!("{start} --output 211 {rest}")))["tpot_s"])
    };
    near(number(&fall["base"]), tpot("--batch 8"));
    near(number(&fall["steps"][1]["alone"]), tpot("--batch 2"));
    near(number(&fall["steps"][1]["together"]), tpot("--batch 2 --quant w8a16"));
}

#[test]
fn a_waterfall_is_drawn() {
    let desk = Desk::new();
    let several = "speculative.draft=llama-2-7b speculative.acceptance=0.8 speculative.gamma=4";
    let mut args = words(
        "waterfall --hardware h100-sxm --set model=llama-2-70b --step quant=w8a16 -o fall.svg --step",
    );
    args.push(several);
    desk.ok(&args);
    let svg = desk.read("fall.svg");
    roxmltree::Document::parse(&svg).expect("well-formed XML");
    assert!(svg.contains("does not fit") && svg.contains("quant=w8a16"));
    // A step of several settings has several lines, none of them cut.
    let drawn = |text: &str| svg.contains(&format!(">{text}<"));
    assert!(drawn("speculative.draft=llama-2-7b"), "{svg}");
    assert!(drawn("speculative.acceptance=0.8 speculative.gamma=4"), "{svg}");
}

#[test]
fn a_speculative_surface_is_drawn_and_its_point_is_the_estimates() {
    let desk = Desk::new();
    let case = "estimate --model llama-3-70b --draft llama-3-8b --hardware b200-sxm --batch 1 \
                --prompt 512 --output 64 --gamma 4 --acceptance 0.75";
    let said = desk.ok(&words(&format!(
        "{case} --surface s.svg --surface s.csv --surface s.json --allow-oom"
    )));
    assert!(said.contains("fastest gamma") && said.contains("wrote s.svg"), "{said}");
    roxmltree::Document::parse(&desk.read("s.svg")).expect("well-formed XML");
    let json: Value = serde_json::from_str(&desk.read("s.json")).expect("JSON");
    let points = json["points"].as_array().expect("a list");
    let asked = |p: &&Value| p["acceptance"] == 0.75 && p["gamma"] == 4;
    let point = points.iter().find(asked).expect("the point");
    let alone = &desk.json(&words(&format!("{case} --json --allow-oom")))["speculative"];
    near(number(&point["speed_up"]), number(&alone["speed_up"]));
    near(
        number(&json["loops"][3]["break_even_acceptance"]),
        number(&alone["break_even_acceptance"]),
    );
    assert_eq!(desk.read("s.csv").lines().count(), 1 + points.len());
}

#[test]
fn papers_are_written_whole() {
    let desk = Desk::new();
    let text = desk.ok(&words("reproduce mission --out papers"));
    assert!(text.contains("w4a16-g128"), "{text}");
    for ending in ["csv", "md", "svg"] {
        assert!(!desk.read(&format!("papers/mission.{ending}")).is_empty());
    }
    assert!(desk.ok(&words("reproduce --list")).contains("mission"));
}

#[test]
fn a_model_can_be_turned_into_another_form_of_attention() {
    let desk = Desk::new();
    let memory = |rest: &str| {
        let start = "estimate --json --model llama-3-8b --hardware h100-sxm --batch 4";
        let json = desk.json(&words(&format!("{start} --prompt 1000 --output 24 {rest}")));
        number(&json["memory"]["kv_bytes"])
    };
    near(memory("--heads mha"), 4.0 * memory(""));
    near(memory("--heads mqa"), memory("") / 8.0);
    near(memory("--heads gqa-8 --window full"), memory(""));
    near(memory("--window 128"), memory("") / 8.0);
    desk.ok(&words(
        "sweep chat --hardware h100-sxm --set heads=mha,gqa-8,mqa --set window=full,128 \
         --csv-only --out out",
    ));
    let csv = desk.read("out/sweep.csv");
    for model in ["llama-3-8b+mha", "llama-3-8b,", "llama-3-8b+mqa+window-128"] {
        assert!(csv.contains(model), "{csv}");
    }
}

#[test]
fn a_draft_of_a_scenario_is_the_draft_of_an_estimate() {
    let desk = Desk::new();
    let step = "speculative.draft=llama-3-8b speculative.gamma=4 speculative.acceptance=0.8";
    let mut line = words("waterfall chat --hardware h200-sxm --set model=llama-3-70b --json");
    line.extend(["--step", step]);
    let fall = desk.json(&line);
    let estimate = desk.json(&words(
        "estimate --json --model llama-3-70b --hardware h200-sxm --batch 8 --prompt 1155 \
         --output 211 --draft llama-3-8b --gamma 4 --acceptance 0.8 --allow-oom",
    ));
    near(number(&fall["steps"][0]["alone"]), number(&estimate["tpot_s"]));
}
