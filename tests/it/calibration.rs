//! `cosim calibrate` and `cosim accuracy`: fits, scores, and what is refused.

use super::support::Desk;
use super::support::measured::{OPS, calibrated, desk, fixture};
use cosim::hardware::{Fidelity, Machine, bundled, load};
use cosim::mapped::calibration::{self, Calibration};
use cosim::mapped::{Chip, Kind};
use cosim::yaml::Source;

/// A number of the first score for which all pairs hold.
fn of(scores: &serde_json::Value, pairs: &[(&str, &str)], what: &str) -> f64 {
    let all = scores.as_array().expect("a list");
    let found = all.iter().find(|s| pairs.iter().all(|(key, value)| s[key] == *value));
    let found = found.unwrap_or_else(|| panic!("no score for {pairs:?} in {scores:#}"));
    found[what].as_f64().expect("a number")
}

#[test]
fn bundled_calibrations_hold_together() {
    let all = calibration::bundled::all().expect("all check");
    assert!(all.len() >= 7);
    for calibration in &all {
        let text = calibration.to_yaml();
        let again = Calibration::parse(&Source::new("again.yaml", text.as_str())).expect("reads");
        assert_eq!(again, *calibration);
        assert!(!calibration.data.is_empty() && calibration.date.len() == 10);
        if calibration.stack != calibration::bundled::LEFT_OUT {
            let hardware = load(&calibration.hardware, &bundled::source).expect("bundled");
            Chip::new(&Machine::compile(&hardware, Fidelity::Realistic)).expect("maps");
        }
    }
}

#[test]
fn a_calibration_holds_what_its_file_says() {
    let text = "hardware: h100-sxm\nstack: mine\nlike: trtllm\ndate: 2026-01-02\ndata: [rows]\nkernels:\n  \
                matmul:\n    bf16:\n      rows: 12\n      interval: [0.9, 1.2]\n      parameters:\n        \
                launch: {value: 3 us}\n        compute: {value: 0.81, error: 0.02}\n        \
                sustained: {value: 0.72}\n        memory: {value: 0.83}\n        cache: {value: 1.5}\n";
    let read = Calibration::parse(&Source::new("mine.yaml", text)).expect("reads");
    assert_eq!(read.like.as_deref(), Some("trtllm"));
    let fitted = &read.kernels[&(Kind::Matmul, "bf16".to_owned())];
    assert_eq!(fitted.values, [0.81, 0.72, 0.83, 1.5, 3e-6]);
    assert_eq!(fitted.errors, [Some(0.02), None, None, None, None]);
    assert_eq!((fitted.rows, fitted.interval.low, fitted.interval.high), (12, 0.9, 1.2));
    let refused = |text: String| {
        Calibration::parse(&Source::new("mine.yaml", text)).expect_err("refused").message
    };
    assert!(refused(text.replace("[0.9, 1.2]", "[1.1, 1.2]")).contains("that holds 1"));
    let empty = &text[..text.find("kernels:").expect("kernels")];
    assert!(refused(format!("{empty}kernels: {{}}\n")).contains("has no kernels"));
}

#[test]
fn calibrated_devices_are_predicted_within_the_issue_s_limits() {
    let desk = desk();
    let scores = desk.json(&[
        "accuracy",
        "gemm.csv",
        "attention_prefill.csv",
        "attention_decode.csv",
        "elementwise.csv",
        "collectives.csv",
        "--json",
    ]);
    let limits = [
        ("gemm", "h100_sxm", "bf16", 6.0, 10.0),
        ("gemm", "h100_sxm", "fp8", 7.0, 10.0),
        ("gemm", "vidur_a40", "bf16", 6.0, 10.0),
        ("attention_prefill", "h100_sxm", "bf16", 12.0, 18.0),
        ("attention_decode", "h100_sxm", "bf16", 18.0, 32.0),
        ("elementwise", "h100_sxm", "bf16", 10.0, 20.0),
        ("collectives", "h100_sxm", "bf16", 15.0, 30.0),
    ];
    for (op, device, dtype, median, mean) in limits {
        let key = [("op", op), ("device", device), ("dtype", dtype)];
        assert!(of(&scores, &key, "median_ape") <= median, "{op} {device} {dtype}: {scores:#}");
        assert!(of(&scores, &key, "mean_ape") <= mean, "{op} {device} {dtype}: {scores:#}");
        let covered = of(&scores, &key, "coverage80");
        assert!((60.0..=100.0).contains(&covered), "{op} {device} {dtype}: {covered}");
        assert!(of(&scores, &key, "n") >= 40.0);
    }
}

#[test]
fn scores_are_what_their_rows_say() {
    let desk = desk();
    desk.ok(&["accuracy", "gemm.csv", "--report", "out", "--by", "op"]);
    let mut rows = csv::Reader::from_reader(desk.read("out/rows.csv").leak().as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().map(|r| r.expect("a row")).collect();
    let judged: Vec<&csv::StringRecord> = rows.iter().filter(|r| &r[9] == "false").collect();
    let number = |r: &csv::StringRecord, i: usize| r[i].parse::<f64>().expect("a number");
    let mut errors: Vec<f64> =
        judged.iter().map(|r| 100.0 * (number(r, 6) - number(r, 5)).abs() / number(r, 5)).collect();
    errors.sort_by(f64::total_cmp);
    let scores = desk.json(&["accuracy", "gemm.csv", "--json", "--by", "op"]);
    let key = [("op", "gemm"), ("device", "all"), ("dtype", "all")];
    let near = |a: f64, b: f64| assert!((a - b).abs() < 0.05, "{a} {b}");
    assert_eq!(of(&scores, &key, "n") as usize, judged.len());
    near(of(&scores, &key, "mean_ape"), errors.iter().sum::<f64>() / errors.len() as f64);
    let middle = errors.len() / 2;
    near(of(&scores, &key, "median_ape"), (errors[middle] + errors[(errors.len() - 1) / 2]) / 2.0);
    let bias = judged.iter().map(|r| number(r, 7)).sum::<f64>() / judged.len() as f64;
    near(of(&scores, &key, "bias"), bias);
    let inside = judged.iter().filter(|r| &r[8] == "true").count();
    near(of(&scores, &key, "coverage80"), 100.0 * inside as f64 / judged.len() as f64);
    let picture = desk.read("out/accuracy.svg");
    roxmltree::Document::parse(&picture).expect("well-formed");
    assert_eq!(picture.matches("<circle").count() - 1, judged.len());
}

#[test]
fn rows_that_beat_the_datasheet_are_told_apart_with_their_lines() {
    let desk = desk();
    // m 2048, n 6144, k 4096 in 1 us: 103 PFLOP/s on a device of 165 TFLOP/s.
    let row = "lss_rtx4090,vllm,0.19.0,bf16,2048,6144,4096,1.0,x";
    let text = fixture("gemm.csv") + row + "\n";
    let line = text.lines().count();
    desk.write("more.csv", text.as_bytes());
    let more = desk.ok(&["accuracy", "more.csv"]);
    let apart = format!("apart: 1 rows are faster than the datasheet allows: more line {line}\n");
    assert!(more.contains(&apart), "{more}");
}

#[test]
fn a_fit_finds_the_parameters_that_made_the_rows() {
    use cosim::calibrate::{Predictor, fit, groups, read};
    use cosim::mapped::calibration::Tuning;
    use cosim::mapped::{Kind, Matmul, Operand};
    let hardware = load("h100-sxm", &bundled::source).expect("bundled");
    let chip = Chip::new(&Machine::compile(&hardware, Fidelity::Realistic)).expect("maps");
    let truth = [0.7, 0.65, 0.75, 1.3, 6e-6];
    let mut text = String::from("device,dtype,m,n,k,time_us,source\n");
    for (i, m) in [1, 8, 64, 200, 512, 1000, 4096, 16_384].into_iter().enumerate() {
        for (j, n) in [512, 1024, 4096, 12_288, 28_672].into_iter().enumerate() {
            for k in [768, 4096, 16_384] {
                let [m, n, k] = [m, n, k].map(f64::from);
                let all = (m * k + n * k + m * n) * 2.0;
                let a = Operand { bytes: 2.0, set: all - m * n * 2.0 + m * n * 2.0 };
                let b = Operand { bytes: 2.0, set: f64::INFINITY };
                let kernel = Matmul { groups: 1.0, m, n, k, a, b, out: 2.0, peak: 989.4e12 };
                let wobble = if (i + j) % 2 == 0 { 1.02 } else { 0.98 };
                let time = kernel.map(&chip, &truth).seconds * 1e6 * wobble;
                text += &format!("mine,bf16,{m},{n},{k},{time},mine\n");
            }
        }
    }
    let table = read("gemm", "gemm.csv", &text).expect("reads");
    let tuning = Tuning::default();
    let predictor = Predictor { chip: &chip, hardware: "h100-sxm", stack: "mine", tuning: &tuning };
    let groups = groups(&table.rows);
    assert_eq!((groups.len(), groups[0].kind), (1, Kind::Matmul));
    let outcome = fit(&predictor, &groups[0]).expect("fits");
    for ((found, truth), error) in
        outcome.fitted.values.iter().zip(truth).zip(&outcome.fitted.errors)
    {
        assert!((found / truth).ln().abs() < 0.12, "{outcome:#?}");
        assert!(error.is_some_and(|e| e < 0.2), "{outcome:#?}");
    }
    let interval = outcome.fitted.interval;
    assert!(
        interval.low > 0.94 && interval.low < 1.0 && interval.high > 1.0 && interval.high < 1.06
    );
}

/// Half fits take what the same rows tell of quantization, not what is known of it elsewhere.
#[test]
fn scores_of_unseen_rows_owe_nothing_to_other_calibrations() {
    use cosim::calibrate::{Predictor, Row, fit_all, read, unseen};
    use cosim::mapped::calibration::Tuning;
    use cosim::units::Seconds;
    let hardware = load("h100-sxm", &bundled::source).expect("bundled");
    let chip = Chip::new(&Machine::compile(&hardware, Fidelity::Realistic)).expect("maps");
    let mut rows = vec![];
    for table in ["elementwise", "gemm"] {
        rows.extend(read(table, table, &fixture(&format!("{table}.csv"))).expect("reads").rows);
    }
    let wanted = |row: &Row| row.case.kind() == Kind::Stream || row.case.format() == "fp8";
    rows.retain(|row| &*row.device == "h100_sxm" && wanted(row));
    // Quantization is as slow as nowhere else.
    for row in &mut rows {
        row.time = Seconds::new(row.time.get() + 60e-6);
    }
    let scores = |tuning: Tuning| {
        let (hardware, stack) = ("h100-sxm", "mine");
        let predictor = Predictor { chip: &chip, hardware, stack, tuning: &tuning };
        let outcomes = fit_all(&predictor, &rows, &|_| {});
        unseen(&predictor, &rows, &outcomes, 2, &|| {})
    };
    let alone = scores(Tuning::default());
    let own = calibrated("h100-sxm", "trtllm");
    let beside =
        scores(Tuning::default().with(chip.clone(), Calibration { stack: "mine".into(), ..own }));
    assert_eq!(alone.len(), 2, "{alone:?}");
    assert_eq!(alone, beside);
}

#[test]
fn calibrating_writes_a_file_that_predicts_better_than_no_calibration() {
    let desk = desk();
    let said = desk.ok(&[
        "calibrate",
        "gemm.csv",
        "--device",
        "vidur_a40",
        "--hardware",
        "a40",
        "--stack",
        "mine",
        "--date",
        "2026-11-30",
        "-o",
        "a40.yaml",
    ]);
    assert!(said.contains("wrote a40.yaml") && said.contains("fitted to one half"), "{said}");
    let text = desk.read("a40.yaml");
    assert!(text.contains("stack: \"mine\"") && text.contains("date: \"2026-11-30\""), "{text}");
    let score = |extra: &[&str]| {
        let words = ["accuracy", "gemm.csv", "--map", "vidur_a40=a40", "--json"];
        let scores = desk.json(&[&words[..], extra].concat());
        of(&scores, &[("device", "vidur_a40")], "mean_ape")
    };
    let own = score(&["--calibration", "a40.yaml", "--stack", "mine"]);
    let other = score(&["--stack", "vllm"]);
    assert!(own < 8.0 && own < other, "{own} {other}");
}

#[test]
fn what_rows_do_not_tell_is_held_and_named() {
    let text = fixture("gemm.csv");
    // Rows of a few tokens say nothing of how fast long products go.
    let few = |l: &&str| l.split(',').nth(4).is_some_and(|m| m == "m" || m.len() < 3);
    let few: String = text.lines().filter(few).flat_map(|l| [l, "\n"]).collect();
    let desk = Desk::with(&[("few.csv", &few)]);
    let said = desk.ok(&[
        "calibrate",
        "few.csv",
        "--device",
        "h100_sxm",
        "--hardware",
        "h100-sxm",
        "--stack",
        "mine",
        "-o",
        "few.yaml",
    ]);
    let line = said.lines().find(|l| l.trim_start().starts_with("matmul bf16:")).expect("a fit");
    assert!(line.contains("sustained 0.8000 (held: these rows do not tell it)"), "{line}");
    assert!(desk.read("few.yaml").contains("sustained: {value: 0.8000}"), "no error is claimed");
}

#[test]
fn a_device_left_out_takes_after_the_others() {
    let desk = desk();
    let said = desk.ok(&[
        "calibrate",
        "gemm.csv",
        "--device",
        "h100_sxm",
        "--device",
        "vidur_a40",
        "--leave-one-out",
        "-o",
        "shared.yaml",
    ]);
    assert!(said.contains("matmul bf16:") && said.contains("(2 devices)"), "{said}");
    assert!(desk.read("shared.yaml").contains("stack: \"left-out\""));
    let json = desk.json(&["accuracy", "gemm.csv", "--map", "vidur_a40=a10", "--json"]);
    assert!(of(&json, &[("device", "vidur_a40")], "median_ape") < 60.0);
}

#[test]
fn published_runtimes_of_flash_attention_come_out() {
    let desk = Desk::new();
    for name in ["flashattention_appendix.csv", "flashattention2_h100.csv"] {
        desk.write(name, fixture(name).as_bytes());
    }
    // Half of the shapes fitted, half scored: the issue's limits on the median.
    let median = |file: &str, hardware: &str, kernel: &str| -> f64 {
        let line = format!("calibrate {file} --hardware {hardware} --stack paper");
        let said = desk.ok(&super::support::words(&line));
        let row = said.lines().find(|l| l.trim_start().starts_with(kernel)).expect("a score");
        row.split_whitespace().nth(4).expect("a median").parse().expect("a number")
    };
    let appendix = "flashattention_appendix.csv";
    assert!(median(appendix, "a100-sxm-40gb", "prefill") <= 20.0);
    assert!(median(appendix, "a100-sxm-40gb", "unfused_attention") <= 20.0);
    assert!(median("flashattention2_h100.csv", "h100-sxm", "prefill") <= 15.0);
}

#[test]
fn a_plain_cpu_is_measured_calibrated_and_predicted() {
    let desk = Desk::new();
    let profile = format!("{}/examples/my-cpu.yaml", env!("CARGO_MANIFEST_DIR"));
    desk.write("my-cpu.yaml", std::fs::read(&profile).expect("an example").as_slice());
    for op in &OPS[..4] {
        let text = fixture(&format!("my-cpu/{op}.csv"));
        desk.write(&format!("{op}.csv"), text.as_bytes());
    }
    let tables = ["gemm.csv", "attention_prefill.csv", "attention_decode.csv", "elementwise.csv"];
    let fit = ["calibrate", "--hardware", "my-cpu.yaml", "--stack", "numpy", "-o", "cpu.yaml"];
    desk.ok(&[&fit[..], &tables].concat());
    let map = ["--map", "my-cpu=my-cpu.yaml", "--json", "--by", "op"];
    let score = |more: &[&str]| {
        let scores = desk.json(&[&["accuracy"][..], &tables, &map, more].concat());
        of(&scores, &[("op", "gemm")], "median_ape")
    };
    let fitted = score(&["--calibration", "cpu.yaml", "--stack", "numpy"]);
    assert!(fitted < 30.0 && fitted < score(&[]), "{fitted}");
}
