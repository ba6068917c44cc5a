//! Every command on models with an encoder.

use crate::support::{Desk, words};
use serde_json::Value;
use std::collections::BTreeMap;

const MODELS: [(&str, u64); 2] = [("t5-v1.1-xxl", 512), ("whisper-large-v3", 1500)];

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[track_caller]
fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs(), "{a} is not {b}");
}

fn case(model: &str, prompt: u64) -> String {
    format!("--model {model} --hardware h100-sxm --batch 4 --prompt {prompt} --output 33")
}

/// The seconds of a phase's operators.
fn sum(json: &Value, phase: &str) -> f64 {
    let operators = json["operators"].as_array().expect("a list");
    operators.iter().filter(|o| o["phase"] == phase).map(|o| number(&o["time_s"])).sum()
}

#[test]
fn an_estimate_has_three_phases_that_add_up() {
    for (model, prompt) in MODELS {
        let desk = Desk::new();
        let json = desk.json(&words(&format!("estimate --json {}", case(model, prompt))));
        near(sum(&json, "encode"), number(&json["encode_s"]));
        near(sum(&json, "prefill"), number(&json["prefill_s"]));
        near(sum(&json, "decode"), number(&json["tpot_s"]));
        near(number(&json["ttft_s"]), number(&json["encode_s"]) + number(&json["prefill_s"]));
        let total = number(&json["ttft_s"]) + 32.0 * number(&json["tpot_s"]);
        near(number(&json["throughput_tok_s"]), 4.0 * 33.0 / total);
        let memory = &json["memory"];
        assert!(number(&memory["cross_kv_bytes"]) < number(&memory["kv_bytes"]), "{memory}");
        let text = desk.ok(&words(&format!("estimate {}", case(model, prompt))));
        for row in ["encode", "TTFT (encode + prefill)", "of it cross-attention's"] {
            assert!(text.contains(row), "{row}\n{text}");
        }
        assert!(!text.contains("warning"), "{text}");
    }
    let decoder = Desk::new().json(&words(&format!("estimate --json {}", case("gpt2", 512))));
    assert!(decoder.get("encode_s").is_none() && decoder["memory"].get("cross_kv_bytes").is_none());
}

#[test]
fn stages_of_a_pipeline_share_them() {
    let desk = Desk::new();
    for (model, prompt) in MODELS {
        let json = |pp: u64| {
            let case = case(model, prompt);
            desk.json(&words(&format!("estimate --json {case} --pp {pp} --micro-batches 1")))
        };
        let [one, five] = [1, 5].map(json);
        let kept = |json: &Value| number(&json["memory"]["cross_kv_bytes"]);
        // Layers over 5 stages: the one that needs most has one more than the first.
        let layers: f64 = if model == "t5-v1.1-xxl" { 24.0 } else { 32.0 };
        near(kept(&five), kept(&one) * (layers / 5.0).ceil() / layers);
        near(number(&five["ttft_s"]), number(&five["encode_s"]) + number(&five["prefill_s"]));
        assert!(number(&five["tpot_s"]) > number(&one["tpot_s"]), "one micro-batch, four messages");
        let explain = format!("explain {} --pp 5 --operator stage.broadcast", case(model, prompt));
        let text = desk.ok(&words(&explain));
        assert!(text.contains("y = x of the last stage"), "{text}");
    }
}

#[test]
fn one_phase_alone_counts_both_sides() {
    let desk = Desk::new();
    let phase = |phase: &str, context: u64| {
        let start = "estimate --json --model t5-large --hardware l4 --batch 2";
        desk.json(&words(&format!("{start} --phase {phase} --context {context}")))
    };
    let whole = desk.json(&words(
        "estimate --json --model t5-large --hardware l4 --batch 2 --prompt 300 --output 2",
    ));
    near(number(&phase("prefill", 300)["ttft_s"]), number(&whole["ttft_s"]));
    // 300 positions, the start token and the new one.
    near(number(&phase("decode", 302)["tpot_s"]), number(&whole["tpot_s"]));
}

#[test]
fn lengths_beyond_what_is_declared_are_said() {
    let text = Desk::new().ok(&words(
        "estimate --model whisper-large-v3 --hardware l4 --batch 1 --prompt 1501 --output 445",
    ));
    for said in ["input 1501 is beyond the 1500 positions", "context 449 is beyond the 448 tokens"]
    {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn explain_and_charts_show_the_encode_step() {
    for (model, prompt) in MODELS {
        let desk = Desk::new();
        let text = desk.ok(&words(&format!("explain {}", case(model, prompt))));
        for part in ["\nencode: ", "\nprefill: ", "\ndecode: ", "encoder.attn.flash", "cross.flash"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let one = format!("explain {} --operator cross.scores", case(model, prompt));
        let text = desk.ok(&words(&one));
        assert!(text.contains(&format!("{prompt} source positions")), "{text}");
        let one = format!("explain {} --operator encoder.attn.scores", case(model, prompt));
        assert!(desk.ok(&words(&one)).contains("\nencode / encoder.attn.flash"));
        for (chart, mark) in
            [("roofline", "encode operator"), ("breakdown", "encode-bar"), ("memory", "KV cache")]
        {
            let draw = format!("roofline {} --chart {chart} -o out.svg", case(model, prompt));
            desk.ok(&words(&draw));
            let svg = desk.read("out.svg");
            roxmltree::Document::parse(&svg).expect("well-formed XML");
            assert!(svg.contains(mark), "{model} {chart}: {mark}");
        }
    }
}

#[test]
fn each_phase_has_its_graph() {
    for (model, input) in [("t5-small", "encoder.token_ids"), ("whisper-large-v3", "encoder.mel")] {
        let desk = Desk::new();
        let graph = |phase: &str| {
            desk.ok(&words(&format!("graph --model {model} --phase {phase} --format json")))
        };
        let (encode, decode) = (graph("encode"), graph("decode"));
        assert!(encode.contains(input) && encode.contains("cross.append_k"), "{encode}");
        assert!(decode.contains("cross.append_k.past") && !decode.contains(input), "{decode}");
        assert_eq!(decode, graph("prefill"));
    }
}

#[test]
fn sweeps_and_waterfalls_take_them() {
    let desk = Desk::with(&[(
        "enc.yaml",
        "name: enc\nmodel: t5-v1.1-xxl\nquant: 16bit\ntraffic: {batch: 8, prompt: 512, output: 64}\n\
         sweep:\n  model: [t5-v1.1-xxl, whisper-large-v3, llama-3-8b]\n",
    )]);
    desk.ok(&words("sweep enc.yaml --hardware h100-sxm --out out"));
    let csv = desk.read("out/sweep.csv");
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let names = rows.headers().expect("a head").clone();
    let column = |name: &str| names.iter().position(|n| n == name).expect("a column");
    let encode = column("encode_s");
    let blank: Vec<bool> = rows.records().map(|r| r.expect("a row")[encode].is_empty()).collect();
    assert_eq!(blank, [false, false, true], "{csv}");
    desk.ok(&words("sweep enc.yaml --hardware h100-sxm --out pp --csv-only --set parallel.pp=1,4"));
    let csv = desk.read("pp/sweep.csv");
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let plan = column("parallel");
    let mut encoded: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    for row in rows.records().map(|r| r.expect("a row")).filter(|r| !r[encode].is_empty()) {
        let time = row[encode].parse().expect("a number");
        encoded
            .entry(row[column("model")].to_owned())
            .or_default()
            .push((row[plan].to_owned(), time));
    }
    assert_eq!(encoded.len(), 2, "{csv}");
    for times in encoded.values() {
        let [(one, whole), (four, staged)] = &times[..] else { panic!("{csv}") };
        assert_eq!((one.as_str(), four.as_str()), ("none", "pp4"));
        assert!(staged < whole, "{csv}");
    }
    let json = desk.json(&words(
        "waterfall enc.yaml --hardware h100-sxm --json --step heads=mqa --step quant=w8a16",
    ));
    assert!(number(&json["steps"][0]["alone_gain"]) > 1.0, "{json}");
}

/// A smaller T5 drafts for a larger one, as in Leviathan et al. (arXiv 2211.17192).
#[test]
fn a_draft_has_an_encoder_of_its_own() {
    let desk = Desk::new();
    let run = |rest: &str| {
        let start =
            "estimate --json --fidelity roofline --model t5-v1.1-xxl --hardware h100-sxm --batch 1";
        desk.json(&words(&format!("{start} --prompt 512 --output 64 {rest}")))
    };
    let plain = run("");
    let drafted = run("--draft t5-small --gamma 5 --acceptance 0.75");
    let speculative = &drafted["speculative"];
    assert!(number(&speculative["speed_up"]) > 2.0, "{speculative}");
    let more = number(&drafted["ttft_s"]) - number(&plain["ttft_s"]);
    near(more, number(&speculative["draft_prefill_s"]));
    let small = desk.json(&words(
        "estimate --json --fidelity roofline --model t5-small --hardware h100-sxm --batch 1 \
         --prompt 512 --output 64",
    ));
    near(number(&speculative["draft_prefill_s"]), number(&small["ttft_s"]));
}
