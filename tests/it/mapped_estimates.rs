//! Whole models with mapped kernels.

use super::support::Desk;
use serde_json::Value;

const MAPPED: [&str; 4] = ["--json", "--allow-oom", "--fidelity", "mapped"];
const ROOFLINE: [&str; 3] = ["--json", "--fidelity", "roofline"];

fn estimate(words: &str, more: &[&str]) -> Value {
    let words = super::support::words(words);
    Desk::new().json(&[&["estimate"][..], &words, more].concat())
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} in {value:#}"))
}

/// Published output tokens per second of TensorRT-LLM 0.9.0 on one device (NVIDIA, docs/source/performance.md,
/// static batches): model, device, scheme, batch, prompt, output, tokens per second.
const TRTLLM: &[(&str, &str, &str, u32, u32, u32, f64)] = &[
    ("gpt-j-6b", "h100-sxm", "fp8-kvfp8", 1024, 128, 128, 25_860.0),
    ("gpt-j-6b", "h100-sxm", "fp8-kvfp8", 120, 128, 2048, 7350.0),
    ("gpt-j-6b", "h100-sxm", "fp8-kvfp8", 64, 2048, 128, 2570.0),
    ("gpt-j-6b", "h100-sxm", "fp8-kvfp8", 64, 2048, 2048, 3212.0),
    ("llama-2-7b", "h100-sxm", "fp8-kvfp8", 896, 128, 128, 19_854.0),
    ("llama-2-7b", "h100-sxm", "fp8-kvfp8", 120, 128, 2048, 6944.0),
    ("llama-2-7b", "h100-sxm", "fp8-kvfp8", 84, 2048, 128, 2163.0),
    ("llama-2-7b", "h100-sxm", "fp8-kvfp8", 56, 2048, 2048, 2826.0),
    ("gpt-j-6b", "a100-sxm-80gb", "16bit", 512, 128, 128, 5876.0),
    ("gpt-j-6b", "a100-sxm-80gb", "16bit", 32, 128, 2048, 1549.0),
    ("gpt-j-6b", "a100-sxm-80gb", "16bit", 32, 2048, 128, 545.0),
    ("gpt-j-6b", "a100-sxm-80gb", "16bit", 32, 2048, 2048, 815.0),
    ("llama-2-7b", "a100-sxm-80gb", "16bit", 256, 128, 128, 5390.0),
    ("llama-2-7b", "a100-sxm-80gb", "16bit", 32, 128, 2048, 1484.0),
    ("llama-2-7b", "a100-sxm-80gb", "16bit", 32, 2048, 128, 533.0),
    ("llama-2-7b", "a100-sxm-80gb", "16bit", 16, 2048, 2048, 603.0),
];

#[test]
fn published_throughputs_come_out() {
    let error = |row: &(&str, &str, &str, u32, u32, u32, f64)| {
        let (model, device, scheme, batch, prompt, output, published) = *row;
        let words = format!(
            "--model {model} --hardware {device} --quant {scheme} --batch {batch} --prompt {prompt} --output {output}"
        );
        let more = [&MAPPED[..], &["--stack", "trtllm"]].concat();
        let found = number(&estimate(&words, &more), "throughput_tok_s") / published - 1.0;
        assert!(found.abs() < 0.2, "{row:?}: {:+.1} %", 100.0 * found);
        found.abs()
    };
    let mean = TRTLLM.iter().map(error).sum::<f64>() / TRTLLM.len() as f64;
    assert!(mean < 0.10, "{:.1} %", 100.0 * mean);
}

#[test]
fn intervals_hold_the_times_and_add_up() {
    let words = "--model llama-3-8b --hardware h100-sxm --batch 8 --prompt 1155 --output 211";
    let found = estimate(words, &MAPPED);
    for time in ["ttft_s", "tpot_s"] {
        let [low, high] = ["low", "high"].map(|edge| number(&found, &format!("{time}_{edge}")));
        assert!(low < number(&found, time) && number(&found, time) < high, "{found:#}");
    }
    let operators = found["operators"].as_array().expect("a list");
    let sum = |phase: &str, key: &str| -> f64 {
        operators.iter().filter(|o| o["phase"] == phase).map(|o| number(o, key)).sum()
    };
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    near(sum("prefill", "time_s"), number(&found, "ttft_s"));
    near(sum("decode", "time_s"), number(&found, "tpot_s"));
    near(sum("decode", "time_s_low"), number(&found, "tpot_s_low"));
    near(sum("prefill", "time_s_high"), number(&found, "ttft_s_high"));
    let plain = estimate(words, &ROOFLINE);
    assert!(plain.get("ttft_s_low").is_none() && plain["operators"][0].get("time_s_low").is_none());
}

#[test]
fn mapped_kernels_are_never_faster_than_the_roofline_s_bound() {
    let cases = [
        "--model llama-3-8b --hardware h100-sxm --batch 1 --phase decode --context 2048",
        "--model llama-3-8b --hardware a100-sxm-80gb --batch 64 --phase prefill --context 512",
        "--model mixtral-8x7b --hardware h100-sxm --batch 16 --phase decode --context 1024",
        "--model whisper-large-v3 --hardware rtx4090 --batch 4 --phase decode --context 64",
        "--model llama-3-70b --hardware h100-sxm --tp 8 --batch 16 --phase decode --context 4096",
        "--model deepseek-v2-lite --hardware h100-sxm --batch 8 --phase prefill --context 1024",
        "--model gemma-2-9b --hardware gb200 --quant fp8 --batch 8 --phase prefill --context 8192",
    ];
    for case in cases {
        let ideal = estimate(case, &["--json", "--allow-oom", "--ideal"]);
        let mapped = estimate(case, &MAPPED);
        let time = |e: &Value| e["tpot_s"].as_f64().or(e["ttft_s"].as_f64()).expect("a time");
        // Weights, cache and activations that the second-level cache may hold aside.
        assert!(time(&mapped) > 0.9 * time(&ideal), "{case}: {} {}", time(&mapped), time(&ideal));
        assert!(time(&mapped) < 60.0 * time(&ideal), "{case}: {} {}", time(&mapped), time(&ideal));
    }
}

#[test]
fn the_mean_of_a_span_is_the_mean_of_its_steps() {
    let at = |what: &str| {
        let words = format!("--model llama-3-8b --hardware h100-sxm --batch 16 {what}");
        number(&estimate(&words, &MAPPED), "tpot_s")
    };
    let contexts = (1001..=1400).step_by(57);
    let steps: Vec<f64> = contexts.map(|c| at(&format!("--phase decode --context {c}"))).collect();
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    let span = at("--prompt 1000 --output 401");
    assert!((span / mean - 1.0).abs() < 0.02, "{span} {mean}");
}

#[test]
fn a_device_says_what_its_times_are_known_from() {
    let words = |device: &str| {
        format!("--model llama-3-8b --hardware {device} --batch 1 --phase decode --context 512")
    };
    let own = estimate(&words("h100-sxm"), &[&MAPPED[..], &["--stack", "trtllm"]].concat());
    assert_eq!(own["basis"], "calibrated");
    assert_eq!(own["basis_inputs"][0], "calibration: h100-sxm under trtllm");
    let kin = estimate(&words("h200-sxm"), &MAPPED);
    assert_eq!(kin["basis"], "derived");
    let origin = kin["basis_inputs"][0].as_str().expect("text");
    assert!(origin.contains("h100-sxm under trtllm"), "{origin}");
    let width = |e: &Value| number(e, "tpot_s_high") / number(e, "tpot_s_low");
    assert!(width(&kin) > width(&own), "a device that was never measured is less certain");
    let wide = estimate(&words("rtx4090"), &MAPPED);
    assert!(wide["fallbacks"][0].as_str().expect("text").contains("47.4 B per clock"), "{wide:#}");
}

#[test]
fn kernels_are_mapped_by_default_where_the_profile_has_what_it_needs() {
    let words = |device: &str| {
        format!("--model llama-3-8b --hardware {device} --batch 1 --prompt 512 --output 64")
    };
    let h100 = estimate(&words("h100-sxm"), &["--json"]);
    assert_eq!(h100["fidelity"], "mapped");
    assert_eq!(h100["tpot_s"], estimate(&words("h100-sxm"), &MAPPED)["tpot_s"]);
    assert_eq!(estimate(&words("h100-sxm"), &["--json", "--ideal"])["fidelity"], "ideal");
    assert_eq!(estimate(&words("h100-sxm"), &ROOFLINE)["fidelity"], "roofline");
    let tpu = estimate(&words("tpu-v5e"), &["--json", "--allow-oom"]);
    assert_eq!(tpu["fidelity"], "roofline");
    let said = tpu["fallbacks"].to_string();
    assert!(said.contains("roofline times: tpu-v5e has no"), "{said}");
    let desk = Desk::new();
    let text = |more: &str| {
        desk.ok(&super::support::words(&format!("estimate {} {more}", words("h100-sxm"))))
    };
    assert!(text("").contains("(mapped kernels of trtllm)"), "{}", text(""));
    assert!(text("--fidelity roofline").contains("(roofline)"));
}

#[test]
fn a_draft_is_mapped_as_its_target_is() {
    let words = "--model llama-3-70b --hardware h100-sxm --batch 1 --prompt 512 --output 64 \
                 --draft llama-3-8b --gamma 4 --acceptance 0.8";
    let found = estimate(words, &["--json", "--allow-oom"]);
    let spec = &found["speculative"];
    let alone = |model: &str| {
        let words =
            format!("--model {model} --hardware h100-sxm --batch 1 --prompt 512 --output 64");
        number(&estimate(&words, &["--json", "--allow-oom"]), "tpot_s")
    };
    let near = |a: f64, b: f64, part: f64| assert!((a / b - 1.0).abs() < part, "{a} {b}: {spec:#}");
    near(number(spec, "draft_s"), 4.0 * alone("llama-3-8b"), 1e-9);
    near(number(spec, "verify_s"), alone("llama-3-70b"), 0.1);
    let [low, high] = ["tpot_s_low", "tpot_s_high"].map(|key| number(&found, key));
    assert!(low < number(&found, "tpot_s") && number(&found, "tpot_s") < high);
}

#[test]
fn what_mapped_kernels_do_not_price_is_refused() {
    let desk = Desk::new();
    let base = "estimate --model llama-3-8b --hardware h100-sxm --batch 1 --prompt 8 --output 8";
    desk.refuses(
        &format!("{base} --fidelity roofline --stack trtllm"),
        "--stack and --calibration are of mapped kernels",
    );
    desk.refuses(&format!("{base} --fidelity mapped --stack trt"), "unknown stack `trt`");
    desk.refuses(&format!("{base} --fidelity mapped --ideal"), "--ideal is a roofline");
    desk.refuses(&format!("{base} --fidelity mappd"), "possible values: roofline, mapped");
    let tpu = base.replace("h100-sxm", "tpu-v5e");
    desk.refuses(&format!("{tpu} --fidelity mapped"), "which mapping kernels needs");
    desk.refuses(&format!("{tpu} --stack trtllm"), "which mapping kernels needs");
    let all = cosim::mapped::calibration::bundled::all().expect("check");
    let a40 = all.iter().find(|c| c.hardware == "a40").expect("bundled");
    desk.write("a40.yaml", a40.to_yaml().as_bytes());
    desk.refuses(&format!("{base} --fidelity mapped --calibration a40.yaml"), "not of h100-sxm");
}

#[test]
fn a_decode_draws_less_than_the_tdp_where_the_draw_was_measured() {
    let watts = |device: &str, case: &str, time: &str| {
        let found =
            estimate(&format!("--model llama-3-8b --hardware {device} {case}"), &["--json"]);
        let tokens = if time == "ttft_s" { 4.0 * 2048.0 } else { 4.0 };
        number(&found, "energy_j_per_token") * tokens / number(&found, time)
    };
    let decode = "--batch 4 --phase decode --context 512";
    let prompt = "--batch 4 --phase prefill --context 2048";
    let [step, first] = [watts("h200-sxm", decode, "tpot_s"), watts("h200-sxm", prompt, "ttft_s")];
    assert!(step > 300.0 && step < 620.0, "{step}");
    assert!(first > 600.0 && first <= 700.0 + 1e-6, "{first}");
    assert!((watts("h100-sxm", decode, "tpot_s") - 700.0).abs() < 1e-6);
    let desk = Desk::new();
    let line = format!("estimate --model llama-3-8b --hardware h200-sxm {decode}");
    assert!(desk.ok(&super::support::words(&line)).contains("measured draw"));
    desk.write("half.yaml", b"extends: h100-sxm\nid: half\npower: {active: 100 W}\n");
    desk.refuses("hardware check half.yaml", "go together");
    desk.write(
        "hot.yaml",
        b"extends: h100-sxm\nid: hot\npower: {active: 900 W, per_byte: 10 pJ}\n",
    );
    desk.refuses("hardware check hot.yaml", "above power.tdp");
}

#[test]
fn an_edited_device_keeps_its_parameters_and_is_less_certain() {
    let words = "--model llama-3-8b --hardware h100-sxm --batch 1 --phase decode --context 512";
    let plain = estimate(words, &["--json"]);
    let priced = estimate(words, &["--json", "--set", "hardware.prices.cloud-low=1 $/h"]);
    let edited = estimate(words, &["--json", "--set", "hardware.memory.dram.bandwidth=x1.0001"]);
    assert_eq!(plain["basis"], "calibrated");
    assert_eq!(priced["basis"], "calibrated");
    assert_eq!(edited["basis"], "derived");
    assert!(edited["basis_inputs"].to_string().contains("for other figures"), "{edited:#}");
    let near = number(&edited, "tpot_s") / number(&plain, "tpot_s");
    assert!((near - 1.0).abs() < 1e-3, "{near}");
    let width = |e: &Value| number(e, "tpot_s_high") / number(e, "tpot_s_low");
    assert!(width(&edited) > width(&plain));
}

#[test]
fn a_sweep_has_the_times_and_intervals_of_an_estimate() {
    let desk = Desk::new();
    let line = "sweep chat --hardware a100-sxm-80gb,tpu-v5p --csv-only --out out --set traffic.batch=4 \
                --set traffic.prompt=300 --set traffic.output=40";
    desk.ok(&super::support::words(line));
    let text = desk.read("out/sweep.csv");
    let mut rows = text.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let names = rows.next().expect("a head");
    let rows: Vec<Vec<&str>> = rows.collect();
    let at = |row: usize, name: &str| {
        rows[row][names.iter().position(|n| *n == name).expect("a column")]
    };
    let words = "--model llama-3-8b --hardware a100-sxm-80gb --batch 4 --prompt 300 --output 40";
    let found = estimate(words, &["--json"]);
    for key in ["ttft_s", "ttft_s_low", "ttft_s_high", "tpot_s", "tpot_s_low", "tpot_s_high"] {
        let swept: f64 = at(0, key).parse().expect("a number");
        assert!((swept / number(&found, key) - 1.0).abs() < 1e-5, "{key}: {swept}");
    }
    assert_eq!([at(0, "fidelity"), at(1, "fidelity")], ["mapped", "roofline"]);
    assert_eq!([at(1, "tpot_s_low"), at(1, "tpot_s_high")], ["", ""]);
    desk.ok(&super::support::words(&format!("{line} --fidelity roofline")));
    assert!(!desk.read("out/sweep.csv").contains("mapped"));
}

#[test]
fn two_devices_of_a_mesh_have_one_of_its_links() {
    let time = |more: &str, fidelity: &[&str]| -> f64 {
        let words = format!(
            "--model llama-3-70b --hardware mi300x --batch 16 --phase prefill --context 2048 {more}"
        );
        let found = estimate(&words, fidelity);
        let all = found["operators"].as_array().expect("a list").clone();
        let sums =
            all.iter().filter(|o| o["name"].as_str().is_some_and(|n| n.contains("all_reduce")));
        sums.map(|o| number(o, "time_s")).sum()
    };
    let ideal = ["--json", "--allow-oom", "--ideal"];
    assert!(time("--tp 2", &MAPPED) > time("--tp 2", &ideal));
    // Eight devices use all seven links of each.
    assert!(time("--tp 2", &MAPPED) > 2.0 * time("--tp 8", &MAPPED));
}

#[test]
fn what_does_not_go_with_a_device_of_a_sweep_is_said_on_its_card() {
    let desk = Desk::new();
    desk.ok(&super::support::words(
        "sweep chat --hardware h100-sxm,tpu-v5p --stack trtllm --out out --set traffic.batch=1",
    ));
    assert!(desk.read("out/index.html").contains("roofline times: tpu-v5p has no"));
    desk.refuses(
        "sweep chat --hardware tpu-v5p --stack trtllm --out out",
        "which mapping kernels needs",
    );
    let big = "estimate --model llama-3.1-8b --hardware h100-sxm --batch 2000000000 --prompt 131072 --output 3 --allow-oom";
    desk.ok(&super::support::words(big));
}

#[test]
fn exchanges_over_the_link_are_mapped_as_they_are() {
    let words = "--model llama-3-70b --hardware h100-sxm --tp 4 --sp --batch 1 --phase prefill --context 2048";
    let found = estimate(words, &MAPPED);
    let all = found["operators"].as_array().expect("a list");
    let formats: Vec<String> = all
        .iter()
        .flat_map(|o| o["mapping"].as_array().cloned().unwrap_or_default())
        .filter(|p| p["kind"] == "exchange" || p["kind"] == "all_reduce")
        .map(|p| p["format"].as_str().expect("text").to_owned())
        .collect();
    for name in ["all_gather", "reduce_scatter"] {
        assert!(formats.iter().any(|f| f == name), "{name}: {formats:?}");
    }
    // Across nodes they keep the roofline's time, which is said.
    let far = estimate(&words.replace("--tp 4", "--tp 16").replace("--sp ", ""), &MAPPED);
    assert!(far["fallbacks"].to_string().contains("roofline times for"), "{:#}", far["fallbacks"]);
}
