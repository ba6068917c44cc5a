//! Whole requests that others have published: what comes out, and what a stack's host takes of it.

use super::support::{Desk, words};
use cosim::mapped::Kind;
use cosim::mapped::calibration::{self, Calibration};
use cosim::yaml::Source;
use serde_json::Value;

const TRTLLM: &str = include_str!("../fixtures/measured/e2e_trtllm_static.csv");
const LLAMACPP: &str = include_str!("../fixtures/measured/e2e_llamacpp_apple.csv");

/// A table's head with the lines that are kept.
fn part(table: &str, keep: impl Fn(&str) -> bool) -> String {
    let mut lines = table.lines();
    let head = lines.next().expect("a head");
    let kept = lines.filter(|line| keep(line));
    [head].into_iter().chain(kept).map(|line| format!("{line}\n")).collect()
}

fn keep_count(table: &str, keep: impl Fn(&str) -> bool) -> u64 {
    table.lines().filter(|l| keep(l)).count() as u64
}

/// Rows and mean absolute percentage error over all of a table.
fn scored(desk: &Desk, table: &str, more: &str) -> (u64, f64) {
    desk.write("part.csv", table.as_bytes());
    let scores = desk.json(&words(&format!("accuracy part.csv --by op --json {more}")));
    let [score] = scores.as_array().expect("a list").as_slice() else {
        panic!("one score: {scores:#}")
    };
    (score["n"].as_u64().expect("rows"), score["mean_ape"].as_f64().expect("a number"))
}

fn first_token(line: &str) -> bool {
    line.contains("first_token_latency_ms")
}

/// Devices, the sixth column behind a citation and a framework in quotes.
fn one_device(line: &str) -> bool {
    line.contains("80GB,1,1,1,")
}

#[test]
fn published_throughputs_and_first_tokens_of_trtllm_come_out() {
    let desk = Desk::new();
    let throughput = |line: &str| !first_token(line);
    let parts = [
        ("one GPU", part(TRTLLM, |l| throughput(l) && one_device(l)), 61, 6.0),
        ("several GPUs", part(TRTLLM, |l| throughput(l) && !one_device(l)), 34, 8.0),
        ("first token", part(TRTLLM, first_token), 36, 8.0),
    ];
    for (what, table, rows, limit) in parts {
        let (n, mean) = scored(&desk, &table, "");
        assert_eq!(n, rows, "{what}");
        assert!(mean < limit, "{what}: {mean:.1} %");
    }
    // A stack that never says what its host takes misses the first token.
    let other = scored(&desk, &part(TRTLLM, first_token), "--stack vllm").1;
    assert!(other > 9.0, "{other:.1} %");
}

#[test]
fn llama_cpp_generates_on_apple_as_fitted_to_other_formats() {
    let desk = Desk::new();
    desk.write("fit.csv", part(LLAMACPP, |line| !line.contains(",Q4_0,")).as_bytes());
    let mut files = String::new();
    for chips in ["m1,m1-pro,m1-max,m1-ultra", "m2,m2-pro,m2-max,m2-ultra"] {
        let line =
            format!("calibrate fit.csv --hardware {chips} --stack llamacpp -o . --date 2026-11-30");
        desk.ok(&words(&line));
        for chip in chips.split(',') {
            files += &format!(" --calibration {chip}.llamacpp.yaml");
            // The bundled files are this fit's.
            let written =
                Calibration::parse(&Source::new("c", desk.read(&format!("{chip}.llamacpp.yaml"))));
            let all = calibration::bundled::all().expect("check");
            let bundled = all.into_iter().find(|c| c.hardware == chip).expect("bundled");
            for (key, fitted) in &written.expect("reads").kernels {
                for (a, b) in fitted.values.iter().zip(&bundled.kernels[key].values) {
                    assert!((a / b - 1.0).abs() < 0.01, "{chip} {key:?}: {a} {b}");
                }
            }
        }
    }
    let complete = |line: &str| !["M1 7c", "M1 8c", "M2 8c"].iter().any(|c| line.contains(c));
    let generation =
        part(LLAMACPP, |l| l.contains(",Q4_0,") && l.contains("decode_tok_s") && complete(l));
    let (n, mean) = scored(&desk, &generation, &files);
    assert_eq!(n, 13);
    assert!(mean < 6.0, "{mean:.1} %");
    // One overhead of a generation of chips, one bandwidth of each chip.
    let host = |chip: &str| {
        let all = calibration::bundled::all().expect("check");
        let found = all.into_iter().find(|c| c.hardware == chip).expect("bundled");
        found.kernels[&(Kind::Host, "any".to_owned())].values[1]
    };
    assert_eq!(host("m1"), host("m1-ultra"));
    assert_eq!(host("m2"), host("m2-pro"));
}

#[test]
fn the_host_is_part_of_a_request_once_and_of_every_step() {
    let estimate = |more: &str| -> Value {
        let line =
            format!("estimate --json --model llama-2-7b --batch 1 --prompt 128 --output 64 {more}");
        Desk::new().json(&words(&line))
    };
    let number = |v: &Value| v.as_f64().expect("a number");
    let host = |e: &Value, phase: &str| -> f64 {
        let all = e["operators"].as_array().expect("a list");
        let own = all.iter().filter(|o| o["name"] == "host" && o["phase"] == phase);
        own.map(|o| number(&o["time_s"])).sum()
    };
    let a100 = estimate("--hardware a100-sxm-80gb --stack trtllm");
    assert!(host(&a100, "prefill") > 2e-3 && host(&a100, "decode") > 5e-4, "{a100:#}");
    // Two micro-batches of a pipeline wait for it once: three turns of a stage, and the host.
    let line = "estimate --json --model llama-2-7b --batch 2 --prompt 128 --output 64 --pp 2 \
                --micro-batches 2 --hardware a100-sxm-80gb --stack trtllm";
    let piped = Desk::new().json(&words(line));
    let all = piped["operators"].as_array().expect("a list");
    let turns: f64 = all
        .iter()
        .filter(|o| o["phase"] == "prefill" && o["name"] != "host")
        .map(|o| number(&o["time_s"]))
        .sum();
    let once = host(&a100, "prefill");
    let flow = number(&piped["ttft_s"]) - once;
    assert!(flow > 1.4 * turns && flow < 1.7 * turns, "{flow} {turns}");
    let shown = Desk::new().ok(&words(&line.replace("--json ", "")));
    assert!(shown.contains("bubble") && !shown.contains("prefill -"), "{shown}");
    let apple = estimate("--hardware m2-max --quant q4_0");
    assert!(host(&apple, "decode") > 3e-3);
    assert_eq!(host(&estimate("--hardware rtx4090"), "prefill"), 0.0);
}

#[test]
fn old_kernels_read_keys_for_every_query_head() {
    let step = |model: &str, stack: &str| {
        let line = format!(
            "estimate --json --allow-oom --model {model} --hardware h100-sxm --batch 64 --phase decode \
             --context 3000 --stack {stack}"
        );
        Desk::new().json(&words(&line))["tpot_s"].as_f64().expect("a time")
    };
    // Eight query heads share a head of keys in the larger model, each has its own in the smaller.
    let ratio = |model: &str| step(model, "trtllm-0.6") / step(model, "trtllm");
    assert!(ratio("llama-2-70b") > 1.15, "{}", ratio("llama-2-70b"));
    assert!(ratio("llama-2-7b") < 1.05, "{}", ratio("llama-2-7b"));
}

#[test]
fn bad_tables_of_requests_are_told_by_line() {
    let desk = Desk::new();
    let broken = |from: &str, to: &str| {
        let text = part(TRTLLM, |line| line.contains("v0.9.0") && line.contains("GPT-J"));
        assert!(text.contains(from), "{from}");
        desk.write("bad.csv", text.replacen(from, to, 1).as_bytes());
    };
    let cases = [
        ("output_tok_s_per_gpu", "output_tok_per_s", "unknown metric `output_tok_per_s`"),
        (",25860.0,", ",-5,", "bad.csv:2"),
        (",1024,128,128,", ",1024,128,0,", "osl 0"),
        (",1024,128,128,", ",x,128,128,", "batch: `x`"),
        (",1024,128,128,", ",,128,128,", "batch: ``"),
        (",value,", ",values,", "no column `value`"),
        ("H100 SXM 80GB", "H1000", "unknown device `H1000`"),
    ];
    for (from, to, says) in cases {
        broken(from, to);
        desk.refuses("accuracy bad.csv", says);
    }
    broken("GPT-J 6B", "GPT-J 60B");
    let said = desk.ok(&words("accuracy bad.csv"));
    assert!(said.contains("not scored: 1 rows") && said.contains("no bundled model is"), "{said}");
    desk.write(
        "few.csv",
        part(TRTLLM, |l| l.contains("GPT-J") && l.contains(",25860.0,")).as_bytes(),
    );
    desk.refuses(
        "calibrate few.csv --hardware h100-sxm --stack trtllm",
        "1 rows of requests are too few",
    );
    // A row that the device cannot run is left out of a fit, and told.
    let keep = |l: &str| l.contains("A100") && l.contains("v0.9.0");
    let fp8 = part(TRTLLM, keep).replacen("FP16", "FP8 W8A8+FP8 KV", 1);
    desk.write("fp8.csv", fp8.as_bytes());
    let fit =
        "calibrate fp8.csv --hardware a100-sxm-80gb --stack trtllm -o fit.yaml --date 2026-11-30";
    let said = desk.ok(&words(fit));
    assert!(said.contains("not used: line 2"), "{said}");
    let written =
        Calibration::parse(&Source::new("fit.yaml", desk.read("fit.yaml"))).expect("reads");
    let rows = keep_count(TRTLLM, keep) - 1;
    assert_eq!(written.kernels[&(Kind::Host, "any".to_owned())].rows, rows);
    assert!(written.kernels[&(Kind::Host, "any".to_owned())].values[0] > 1e-3);
    assert!(written.data[0].contains("of A100") && !written.data[0].contains("H100"));
    desk.write("all.csv", TRTLLM.as_bytes());
    desk.refuses(
        "calibrate all.csv --hardware h100-sxm --stack vllm",
        "no row is of h100-sxm under vllm",
    );
}
