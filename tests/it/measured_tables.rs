//! Which tables of measurements and calibration files are read, how their rows are told apart, and what is refused.

use super::support::measured::{calibrated, desk, fixture};
use super::support::{Desk, words};

#[test]
fn lines_are_the_file_s_whatever_ends_them() {
    let desk = Desk::new();
    let rows = [
        "device,dtype,m,n,k,time_us",
        "h100_sxm,bf16,16,4096,4096,20",
        "",
        "h100_sxm,bf16,x,4096,4096,20",
    ];
    for end in ["\n", "\r\n"] {
        desk.write("rows.csv", rows.join(end).as_bytes());
        desk.refuses("accuracy rows.csv", "rows.csv:4");
    }
    desk.write(
        "heads.csv",
        b"device,dtype,kv_dtype,batch,q_len,kv_len,n_heads,n_kv_heads,head_dim,time_us\n\
                              h100_sxm,bf16,bf16,1,1,512,8,32,128,20\n",
    );
    desk.refuses("accuracy heads.csv", "n_heads is 8, which 32 n_kv_heads do not divide");
}

#[test]
fn bad_tables_are_refused_with_their_line() {
    let head = "device,framework,version,dtype,m,n,k,time_us,source\n";
    let good = "h100_sxm,trtllm,1,bf16,1,4096,4096,10.5,x\n";
    let cases = [
        ("device,dtype,m,n,k\nh100_sxm,bf16,1,2,3\n", "no column `time_us`", "bad.csv:1:1"),
        ("device,dtype,m,n,k,time\na,bf16,1,2,3,4\n", "the time is in `time`", "bad.csv:1:1"),
        ("device,dtype,m,n,k,time_ms\na,bf16,1,2,3,4\n", "the time is in `time_ms`", "bad.csv:1:1"),
        ("a,b,c\n1,2,3\n", "of no kind of table", "bad.csv:1:1"),
        (
            &format!("{head}{good}h100_sxm,t,1,bf16,1,4096,4096,-3,x\n"),
            "time_us is -3",
            "bad.csv:3:1",
        ),
        (
            &format!("{head}{good}h100_sxm,t,1,bf16,1,4096,4096,0,x\n"),
            "time_us is 0",
            "bad.csv:3:1",
        ),
        (
            &format!("{head}{good}h100_sxm,t,1,bf16,1,4096,4096,nan,x\n"),
            "time_us is nan",
            "bad.csv:3:1",
        ),
        (
            &format!("{head}{good}h100_sxm,t,1,bf16,one,4096,4096,3,x\n"),
            "m: `one` is not",
            "bad.csv:3:1",
        ),
        (
            &format!("{head}{good}h100_sxm,t,1,bf16,1.5,4096,4096,3,x\n"),
            "m is 1.5; expected a whole number",
            "bad.csv:3:1",
        ),
        (
            &format!("{head}{good}h100_sxm,t,1,bf17,1,4096,4096,3,x\n"),
            "did you mean `bf16`",
            "bad.csv:3:1",
        ),
        (
            &format!("{head}{good}h100_sxm,t,1,bf16,1\n"),
            "5 fields where the header has 9",
            "bad.csv:3",
        ),
        (
            &format!("{head}{good}my_gpu,t,1,bf16,1,4096,4096,3,x\n"),
            "unknown device `my_gpu`",
            "line 3",
        ),
        (head, "bad.csv has no rows", "header"),
    ];
    for (text, says, at) in cases {
        let desk = Desk::with(&[("bad.csv", text)]);
        let message = desk.refused(&["accuracy", "bad.csv"]);
        assert!(message.contains(says) && message.contains(at), "{text}\n{message}");
    }
    let desk = Desk::with(&[("few.csv", &format!("{head}{}", good.repeat(3)))]);
    let line = "calibrate few.csv --hardware h100-sxm --stack mine -o out.yaml";
    desk.refuses(line, "too few rows: 1 different shapes for 5 parameters; at least 10 are needed");
    let said = desk.ok(&["accuracy", "few.csv"]);
    assert!(
        said.contains("2 rows repeat an earlier row's shape") && said.contains("(lines 3, 4)"),
        "{said}"
    );
    desk.refuses("accuracy few.csv --stack tensorrt", "unknown stack `tensorrt`");
    desk.refuses("accuracy few.csv --map h100_sxm", "expected NAME=HARDWARE");
    desk.refuses("calibrate few.csv --hardware h100-sxm", "--stack");
    for day in ["2026-13-01", "2026-02-30", "yesterday", "2026-1-1"] {
        let line = format!("calibrate few.csv --hardware h100-sxm --stack mine --date {day}");
        desk.refuses(&line, "expected a day as YYYY-MM-DD");
    }
    let said = desk.ok(&["accuracy", "few.csv", "--map", "h100_smx=a40"]);
    assert!(said.contains("--map h100_smx: no row is of it; did you mean `h100_sxm`?"), "{said}");
}

/// Twenty measurements of one shape tell what one does.
#[test]
fn repeated_rows_tables_and_columns_are_no_more_than_one() {
    let head = "device,framework,version,dtype,m,n,k,time_us,source\n";
    let good = "h100_sxm,trtllm,1,bf16,1,4096,4096,10.5,x\n";
    let desk = Desk::with(&[
        ("one.csv", format!("{head}{}", good.repeat(20)).as_str()),
        ("two.csv", "device,dtype,m,m,n,k,time_us\nh100_sxm,bf16,1,2,512,512,3\n"),
    ]);
    desk.refuses(
        "calibrate one.csv --hardware h100-sxm --stack s -o o.yaml",
        "too few rows: 1 different shapes",
    );
    desk.refuses("accuracy two.csv", "two columns `m`");
    desk.refuses("accuracy one.csv one.csv", "one.csv is named twice");
}

/// Times in other units, another device, a stack that is like itself: nothing is fitted, nothing is written.
#[test]
fn rows_that_no_device_can_explain_are_refused() {
    let desk = desk();
    let text = fixture("gemm.csv");
    let scaled = |by: f64| {
        let mut lines = text.lines();
        let mut all = format!("{}\n", lines.next().expect("a header"));
        let place = all.trim().split(',').position(|name| name == "time_us").expect("a column");
        for line in lines.filter(|line| line.starts_with("h100_sxm") && line.contains(",bf16,")) {
            let mut fields: Vec<String> = line.split(',').map(str::to_owned).collect();
            let time: f64 = fields[place].parse().expect("a number");
            fields[place] = (time * by).to_string();
            all += &format!("{}\n", fields.join(","));
        }
        all
    };
    for (name, by) in [("ms.csv", 1e-3), ("s.csv", 1e-6), ("ns.csv", 1e3)] {
        desk.write(name, scaled(by).as_bytes());
        let line = format!("calibrate {name} --hardware h100-sxm --stack s -o out.yaml");
        desk.refuses(&line, "are they in microseconds, and of this device?");
    }
    let line = "calibrate gemm.csv --device h100_sxm --stack s -o out.yaml";
    desk.refuses(&format!("{line} --hardware t4"), "of this device?");
    desk.refuses(&format!("{line} --hardware h100-sxm --like s"), "--like s is the stack itself");
    desk.refuses(&format!("{line} --hardware h100-sxm --map a=b"), "means nothing to a fit");
    desk.refuses(&format!("{line} --hardware h100-sxm,h100-sxm"), "names h100-sxm twice");
    desk.refuses(
        "calibrate gemm.csv --device h100_sxm --hardware h100-sxm --stack s -o .",
        "directory",
    );
    // As another stack than the rows name: said, and written.
    let said = desk.ok(&words(&format!("{line} --hardware h100-sxm")));
    assert!(said.contains("rows say that they are of trtllm; they are fitted as s"), "{said}");
}

/// The same rows score alike whatever their file is called, and a copy beside them is in the same half.
#[test]
fn halves_are_those_of_shapes_not_of_files() {
    let desk = desk();
    desk.write("again.csv", fixture("gemm.csv").as_bytes());
    let table = |files: &str| {
        let line =
            format!("calibrate {files} --device h100_sxm --hardware h100-sxm --stack s --cuts 3");
        let said = desk.ok(&words(&line));
        let rows: Vec<String> = said
            .lines()
            .filter(|l| l.contains("matmul") && l.contains("h100-sxm"))
            .map(str::to_owned)
            .collect();
        assert!(!rows.is_empty(), "{said}");
        rows
    };
    assert_eq!(table("gemm.csv"), table("again.csv"));
    let error = |rows: &[String]| -> Vec<String> {
        let of = |row: &String| row.split_whitespace().nth(4).map(str::to_owned);
        rows.iter().filter_map(of).collect()
    };
    assert_eq!(error(&table("gemm.csv")), error(&table("gemm.csv again.csv")));
}

#[test]
fn calibration_files_with_wrong_parameters_are_refused() {
    let desk = desk();
    let text = calibrated("a100-sxm-80gb", "trtllm").to_yaml();
    let cases = [
        ("        launch:", "        lunch:", "unknown parameter of matmul `lunch`"),
        ("compute: {value: 0.", "compute: {value: 7.", "outside"),
        ("  matmul:", "  matmull:", "unknown kind of kernel `matmull`"),
        ("interval: [0.", "interval: [-0.", "no interval above zero"),
        ("launch: {value: ", "launch: {value: 5 GB, error: ", "launch"),
        ("hardware:", "hardwares:", "unknown field `hardwares`"),
    ];
    for (from, to, says) in cases {
        assert!(text.contains(from), "{from}");
        desk.write("c.yaml", text.replacen(from, to, 1).as_bytes());
        desk.refuses("accuracy gemm.csv --calibration c.yaml", says);
    }
    let without = text.lines().filter(|l| !l.contains("sustained:")).flat_map(|l| [l, "\n"]);
    desk.write("c.yaml", without.collect::<String>().as_bytes());
    desk.refuses("accuracy gemm.csv --calibration c.yaml", "matmul has no parameter `sustained`");
}

#[test]
fn the_measuring_script_writes_tables_that_are_read() {
    let python = |arguments: &[&str]| {
        std::process::Command::new("python3")
            .args(arguments)
            .output()
            .is_ok_and(|o| o.status.success())
    };
    if !python(&["-c", "import numpy"]) {
        // Nothing to run it with; its committed output is read above.
        return;
    }
    let desk = Desk::new();
    let script = format!("{}/tools/measure.py", env!("CARGO_MANIFEST_DIR"));
    let out = desk.path("measured").display().to_string();
    let words = ["--backend", "numpy", "--quick", "--seconds", "6", "--device", "a40"];
    assert!(python(&[&[script.as_str()][..], &words, &["-o", &out]].concat()));
    let said = desk.ok(&["accuracy", "measured/gemm.csv", "measured/attention_decode.csv"]);
    assert!(said.contains("a40"), "{said}");
}
