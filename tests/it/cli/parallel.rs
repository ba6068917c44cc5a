//! Several devices on the command line.

use crate::support::{Desk, words};
use serde_json::Value;

const CASE: &str = "--model llama-3-70b --hardware h100-sxm --prompt 512 --output 64";

fn estimate(desk: &Desk, rest: &str) -> Value {
    desk.json(&words(&format!("estimate --json {CASE} {rest}")))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_best_plan_is_one_that_can_be_asked_for() {
    let desk = Desk::new();
    let found =
        estimate(&desk, "--batch 1 --devices 8 --optimize throughput --slo ttft=1s,tpot=30ms");
    let plans = found["plans"].as_array().expect("a list");
    assert_eq!(plans.len(), 10);
    let best = &plans[0];
    let batch = best["batch"].as_u64().expect("a batch");
    assert!(number(&best["ttft_s"]) <= 1.0 && number(&best["tpot_s"]) <= 0.03);
    let degrees = |plan: &Value| {
        let of = |key: &str| plan[key].as_u64().expect("a degree");
        format!("--tp {} --pp {} --dp {}", of("tp"), of("pp"), of("dp"))
    };
    let asked = estimate(&desk, &format!("--batch {batch} {}", degrees(best)));
    for key in ["ttft_s", "tpot_s", "throughput_tok_s"] {
        assert_eq!(asked[key], found[key], "{key}");
        assert_eq!(asked[key], best[key], "{key}");
    }
    // One sequence more passes a limit, on every plan's best batch.
    for plan in plans.iter().filter(|p| p["refused"].is_null()) {
        let more = plan["batch"].as_u64().expect("a batch") + 1;
        let more = estimate(&desk, &format!("--batch {more} {}", degrees(plan)));
        let passes = number(&more["ttft_s"]) > 1.0 || number(&more["tpot_s"]) > 0.03;
        assert!(passes, "{plan}");
    }
    let refused: Vec<&Value> = plans.iter().filter(|p| !p["refused"].is_null()).collect();
    assert!(refused.iter().any(|p| p["refused"] == "out of memory"), "{refused:?}");
}

#[test]
fn the_least_latency_is_no_more_than_that_of_any_plan() {
    let found = estimate(&Desk::new(), "--batch 4 --devices 8 --optimize latency");
    let plans = found["plans"].as_array().expect("a list");
    let totals: Vec<f64> = plans.iter().filter_map(|p| p["total_s"].as_f64()).collect();
    assert!(totals.len() > 5 && totals.iter().all(|t| *t >= totals[0]), "{totals:?}");
}

#[test]
fn experts_are_dealt_to_devices_and_over_replicas() {
    let case = "--model mixtral-8x7b --hardware h100-sxm --prompt 512 --output 64 --batch 64";
    let search = format!("estimate --json {case} --devices 8 --optimize throughput");
    let found = Desk::new().json(&words(&search));
    let plans = found["plans"].as_array().expect("a list");
    let plan = |name: &str| plans.iter().find(|p| p["plan"] == name).expect("tried");
    let (held, dealt) = (plan("dp8"), plan("ep8-dp8"));
    assert_eq!(held["refused"], "out of memory");
    assert_eq!((&dealt["ep"], &dealt["dp"], &dealt["tp"]), (&8.into(), &8.into(), &1.into()));
    assert!(number(&dealt["throughput_tok_s"]) > 0.0);
    assert!(plan("tp2-ep8-dp4")["refused"].is_null() && plan("tp8-ep8")["refused"].is_null());
    assert_eq!(plans[0]["throughput_tok_s"], found["throughput_tok_s"]);
    let sweep = "sweep chat --hardware h100-sxm --out out --csv-only --set model=mixtral-8x7b";
    let desk = Desk::new();
    desk.ok(&words(&format!("{sweep} --set parallel.dp=8 --set parallel.ep=1,8")));
    assert!(desk.read("out/sweep.csv").contains("ep8-dp8"));
}

#[test]
fn positions_of_a_long_prompt_are_dealt_to_devices() {
    let case = "--model llama-3-8b --hardware h100-sxm --prompt 100000 --output 100 --batch 1";
    let desk = Desk::new();
    let of = |rest: &str| desk.json(&words(&format!("estimate --json {case} {rest}")));
    let (one, four) = (of(""), of("--cp 4"));
    let faster = |key: &str| number(&one[key]) / number(&four[key]);
    assert!(faster("ttft_s") > 3.0 && faster("ttft_s") < 4.0, "{}", faster("ttft_s"));
    assert!(faster("tpot_s") > 1.2, "{}", faster("tpot_s"));
    let kv = |found: &Value| number(&found["memory"]["kv_bytes"]);
    assert_eq!(kv(&one), 4.0 * kv(&four));
    assert_eq!((&four["parallel"]["cp"], &four["parallel"]["devices"]), (&4.into(), &4.into()));
    let explained =
        desk.ok(&words(&format!("explain {case} --cp 4 --operator attn.append_k.gather")));
    assert!(explained.contains("all-gather") && explained.contains("over 4 ranks"), "{explained}");
    let best = of("--devices 4 --cp 2 --optimize latency");
    let plans = best["plans"].as_array().expect("a list");
    assert!(plans.len() == 3 && plans.iter().all(|p| p["cp"] == 2), "{best}");
    assert!(number(&best["ttft_s"]) < number(&one["ttft_s"]));
    let sweep = "sweep chat --hardware h100-sxm --out out --csv-only";
    desk.ok(&words(&format!("{sweep} --set parallel.cp=1,2 --set parallel.tp=1,2")));
    assert!(desk.read("out/sweep.csv").contains("tp2-cp2"));
}

#[test]
fn a_pareto_front_is_drawn() {
    let desk = Desk::new();
    let rest = "--batch 1 --devices 4 --optimize throughput -o front.svg";
    let text = desk.ok(&words(&format!("estimate {CASE} {rest}")));
    assert!(text.contains("best") && text.contains("wrote front.svg"), "{text}");
    let svg = desk.read("front.svg");
    let drawn = roxmltree::Document::parse(&svg).expect("well-formed");
    let front = drawn.descendants().find(|n| n.attribute("class") == Some("front"));
    assert!(front.is_some());
}

#[test]
fn the_best_plan_has_its_label_in_any_crowd() {
    let desk = Desk::new();
    let case = "estimate --model mixtral-8x7b --hardware h100-sxm --batch 1 --prompt 1024 --output 256 \
                --devices 16 --optimize throughput --slo ttft=2s,tpot=50ms -o crowd.svg";
    desk.ok(&words(case));
    let svg = desk.read("crowd.svg");
    let drawn = roxmltree::Document::parse(&svg).expect("well-formed");
    let mut labels = drawn.descendants().filter(|n| n.tag_name().name() == "text");
    let best = labels.find(|n| n.text().is_some_and(|t| t.ends_with(", the best")));
    let class = best.and_then(|n| n.attribute("class")).expect("labelled");
    assert!(class.starts_with("strong"), "{class}");
}

#[test]
fn each_stage_has_its_memory() {
    let found = estimate(&Desk::new(), "--batch 8 --tp 2 --pp 4");
    let parallel = &found["parallel"];
    assert_eq!(parallel["devices"], 8);
    let stages = parallel["stages"].as_array().expect("a list");
    assert_eq!(stages.len(), 4);
    let most = stages.iter().map(|s| number(&s["total_bytes"])).fold(0.0, f64::max);
    assert_eq!(number(&found["memory"]["total_bytes"]), most);
    let weights: f64 = stages.iter().map(|s| number(&s["weights_bytes"])).sum();
    let alone = estimate(&Desk::new(), "--batch 8 --allow-oom");
    let whole = number(&alone["memory"]["weights_bytes"]);
    // Norms are held by both ranks.
    assert!(2.0 * weights >= whole && 2.0 * weights < 1.001 * whole, "{weights} {whole}");
}

#[test]
fn a_sweep_and_a_waterfall_go_over_devices() {
    let desk = Desk::new();
    let sweep = "sweep chat --hardware h100-sxm --out out --csv-only --set parallel.tp=1,2,8";
    desk.ok(&words(&format!("{sweep} --set traffic.batch=4")));
    let csv = desk.read("out/sweep.csv");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let column = |name: &str, headers: &csv::StringRecord| {
        headers.iter().position(|h| h == name).expect("a column")
    };
    let headers = reader.headers().expect("a header").clone();
    let (plan, devices, tpot) =
        (column("parallel", &headers), column("devices", &headers), column("tpot_s", &headers));
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
    let names: Vec<(&str, &str)> = rows.iter().map(|r| (&r[plan], &r[devices])).collect();
    assert_eq!(names, [("none", "1"), ("tp2", "2"), ("tp8", "8")]);
    let times: Vec<f64> = rows.iter().map(|r| r[tpot].parse().expect("a number")).collect();
    assert!(times[0] > times[1] && times[1] > times[2], "{times:?}");
    let fall = desk.json(&words(
        "waterfall chat --hardware h100-sxm --json --step quant=fp8 --step parallel.tp=2",
    ));
    let gain = number(&fall["steps"][1]["together_gain"]);
    assert!(gain > 1.0 && gain < 2.0, "{fall}");
}

#[test]
fn memory_has_a_bar_per_stage_and_money_counts_every_device() {
    let desk = Desk::new();
    let case = format!("{CASE} --batch 8 --tp 2 --pp 4");
    desk.ok(&words(&format!("roofline {case} --chart memory -o memory.svg")));
    let svg = desk.read("memory.svg");
    let json = estimate(&desk, "--batch 8 --tp 2 --pp 4");
    let stages = json["parallel"]["stages"].as_array().expect("a list");
    assert_eq!(stages.len(), 4);
    for stage in 1..=4 {
        let bar = format!("h100-sxm, stage {stage}, each of 2");
        assert!(svg.contains(&format!(">{bar}<")), "{svg}");
    }
    assert!(!svg.contains("stage 5"));
    let title = "8 x NVIDIA H100 SXM5 80GB (tp2-pp4)";
    assert!(svg.contains(title), "{svg}");
    for chart in ["roofline", "breakdown"] {
        desk.ok(&words(&format!("roofline {case} --chart {chart} -o chart.svg")));
        assert!(desk.read("chart.svg").contains(title), "{chart}");
    }
    desk.ok(&words(&format!("roofline {CASE} --batch 8 --tp 4 --chart memory -o memory.svg")));
    assert!(desk.read("memory.svg").contains(">h100-sxm, each of 4<"));
    let table = desk.ok(&words(&format!("estimate {case}")));
    assert!(table.contains("at cloud-low, 8 x 2.29 $/h"), "{table}");
}
