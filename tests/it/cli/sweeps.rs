//! `sweep`: every point, in order, the same bytes whatever the number of threads.

use crate::support::{Desk, words};
use std::collections::BTreeMap;

fn csv(desk: &Desk, name: &str) -> Vec<BTreeMap<String, String>> {
    let text = desk.read(name);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.expect("a row as long as the header")).collect()
}

const GRID: &str = "sweep chat --hardware t4,a100-sxm-80gb --set quant=16bit,fp8,w4a16-g128 --set traffic.batch=1,8,64 --set traffic.output=1,200 --set hardware.memory.dram.bandwidth=x0.5,x1";

#[test]
fn every_point_is_there_in_order() {
    let desk = Desk::new();
    desk.ok(&words(&format!("{GRID} --out out --csv-only")));
    let rows = csv(&desk, "out/sweep.csv");
    let mut expected = vec![];
    for hardware in ["t4", "a100-sxm-80gb"] {
        for factor in ["x0.5", "x1"] {
            for quant in ["16bit", "fp8", "w4a16-g128"] {
                for batch in ["1", "8", "64"] {
                    for output in ["1", "200"] {
                        expected.push([hardware, factor, quant, batch, output]);
                    }
                }
            }
        }
    }
    let columns = ["hardware", "hardware.memory.dram.bandwidth", "quant", "batch", "output"];
    let found: Vec<[&str; 5]> = rows.iter().map(|r| columns.map(|c| r[c].as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn rows_have_times_or_say_why_not() {
    let desk = Desk::new();
    desk.ok(&words(&format!("{GRID} --out out --csv-only")));
    let mut seen = BTreeMap::new();
    for row in csv(&desk, "out/sweep.csv") {
        *seen.entry(row["status"].clone()).or_insert(0) += 1;
        assert_eq!(row["status"] == "ok", !row["ttft_s"].is_empty(), "{row:?}");
        let decodes = row["status"] == "ok" && row["output"] != "1";
        assert_eq!(decodes, !row["tpot_s"].is_empty(), "{row:?}");
        for (column, value) in &row {
            if column.ends_with("_s") && !value.is_empty() {
                assert!(value.parse::<f64>().is_ok_and(|v| v.is_finite() && v > 0.0), "{row:?}");
            }
        }
    }
    let fp8 = seen.iter().filter(|(status, _)| status.contains("fp8")).map(|(_, n)| n).sum::<i32>();
    assert_eq!(fp8, 24, "{seen:?}");
    assert!(seen.contains_key("ok") && seen.contains_key("out of memory"), "{seen:?}");
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let desk = Desk::new();
    let line = "sweep chat code --hardware t4,h100-sxm,mine.yaml --set traffic.batch=1..3000:10";
    desk.write("mine.yaml", b"id: mine\nextends: t4\nname: \"<Mine> & co\"\n");
    for (jobs, out) in [("1", "one"), ("2", "two"), ("2", "again")] {
        desk.ok(&[&words(line)[..], &["--jobs", jobs, "--out", out]].concat());
    }
    let files = desk.files();
    let of = |out: &str| -> BTreeMap<&str, &Vec<u8>> {
        files.iter().filter_map(|(n, b)| Some((n.strip_prefix(out)?, b))).collect()
    };
    let one = of("one/");
    assert!(one.contains_key("chat/sweep.csv") && one.contains_key("code/index.html"));
    assert!(one.keys().any(|n| n.starts_with("chat/roofline-") && n.ends_with(".svg")));
    assert!(one == of("two/") && one == of("again/"));
    for (name, bytes) in &one {
        if name.ends_with(".svg") {
            let text = std::str::from_utf8(bytes).expect("UTF-8");
            roxmltree::Document::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

#[test]
fn a_csv_row_is_the_estimate() {
    let desk = Desk::new();
    desk.ok(&words("sweep chat --hardware a100-sxm-80gb --set model=gpt2 --out out"));
    let row = &csv(&desk, "out/sweep.csv")[0];
    let case = ["--batch", &row["batch"], "--prompt", &row["prompt"], "--output", &row["output"]];
    let start = words("estimate --json --model gpt2 --hardware a100-sxm-80gb");
    let json = desk.json(&[&start[..], &case].concat());
    for name in ["ttft_s", "tpot_s", "throughput_tok_s", "energy_j_per_token", "usd_per_mtok"] {
        let (cell, value) = (row[name].parse::<f64>(), json[name].as_f64().expect("a number"));
        assert!((cell.expect("a number") / value - 1.0).abs() < 1e-6, "{name}");
    }
}

#[test]
fn rows_name_heads_window_and_routing() {
    let desk = Desk::new();
    desk.ok(&words(
        "sweep chat --hardware h200-sxm --set model=mixtral-8x7b,gemma-2-9b --set heads=mqa,gqa-4 \
         --set routing=uniform,zipf:1 --out out --csv-only",
    ));
    let rows = csv(&desk, "out/sweep.csv");
    let of = |row: &BTreeMap<String, String>| {
        ["heads", "window", "routing"].map(|column| row[column].clone()).join("; ")
    };
    let named: std::collections::BTreeSet<String> = rows.iter().map(of).collect();
    assert_eq!(rows.len(), 8);
    let expected = ["mqa; full; zipf:1", "gqa-4; 4096, full; uniform"];
    assert!(named.len() == 8 && expected.iter().all(|e| named.contains(*e)), "{named:?}");
}
