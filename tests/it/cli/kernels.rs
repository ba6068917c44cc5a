//! `cosim golden` and `cosim validate`: a right output passes, a wrong one is explained.

use crate::support::{Desk, words};
use cosim::formats::values::f64_bytes;
use cosim::formats::{Kind, safetensors};
use cosim::validate::cases::{Attention, CacheFormat, Dtype, RoutingCase, RoutingScores as Scores};
use cosim::validate::{Case, POLICIES, Precision};
use std::collections::BTreeMap;

const GOLDEN: &str =
    "golden attention --heads 4 --head-dim 16 --batch 1 --seq 5 --kv-seq 70 --out c";

/// The case that `GOLDEN` writes.
const CASE: Attention = Attention {
    heads: 4,
    kv_heads: 2,
    head_dim: 16,
    value_dim: None,
    batch: 1,
    seq: 5,
    kv_seq: Some(70),
    window: None,
    non_causal: false,
    block: None,
    kv: CacheFormat { dtype: None, scales: None },
    softcap: None,
    scale: None,
    alibi: false,
    sinks: false,
    dtype: Dtype::Bf16,
    seed: 1,
};

fn desk() -> Desk {
    let desk = Desk::new();
    desk.ok(&words(GOLDEN));
    desk
}

#[test]
fn a_case_is_the_seed_s_and_says_how_it_lies() {
    let (a, b) = (desk(), desk());
    assert_eq!(a.files(), b.files());
    let names =
        ["README.md", "case.yaml", "emulated.npy", "expected.npy", "k.npy", "q.npy", "v.npy"];
    assert!(names.iter().all(|name| a.files().contains_key(&format!("c/{name}"))));
    let readme = a.read("c/README.md");
    let row = "| k.npy | bf16 | [1, 70, 2, 16] | [2240, 32, 16, 1] |";
    assert!(readme.contains(row) && readme.contains("position 65 + i"), "{readme}");
    b.ok(&words(&format!("{GOLDEN} --seed 2")));
    assert_ne!(a.files()["c/q.npy"], b.files()["c/q.npy"]);
}

#[test]
fn the_emulation_passes_the_default_and_exact() {
    let desk = desk();
    for policy in ["two-reference", "exact", "flash-attention"] {
        let line = format!("validate c --got c/emulated.npy --policy {policy}");
        assert!(desk.ok(&words(&line)).starts_with(&format!("right by {policy}")));
    }
    // In f64 no policy but the one that asks for the emulation's bits has anything against the truth.
    for policy in POLICIES.iter().filter(|p| p.name != "exact") {
        let line = format!("validate c --got c/expected.npy --json --policy {}", policy.name);
        assert_eq!(desk.json(&words(&line))["passed"], true, "{}", policy.name);
    }
}

fn safetensors_of(names: &[&str]) -> Vec<u8> {
    let bytes = f64_bytes(&CASE.eval(&CASE.inputs(), Precision::Exact)[0]);
    let (kind, shape) = (Kind::F64, CASE.query_shape().to_vec());
    let tensor = |name: &&str| safetensors::Written {
        name: (*name).to_owned(),
        kind,
        shape: shape.clone(),
        bytes: bytes.clone(),
    };
    let tensors: Vec<_> = names.iter().map(tensor).collect();
    safetensors::file(&tensors, &BTreeMap::new()).expect("plain tensors")
}

#[test]
fn the_only_tensor_of_a_file_is_taken() {
    let desk = desk();
    desk.write("one.safetensors", &safetensors_of(&["out"]));
    desk.write("two.safetensors", &safetensors_of(&["a", "b"]));
    assert!(desk.ok(&words("validate c --got one.safetensors")).starts_with("right"));
    let message = desk.refused(&words("validate c --got two.safetensors"));
    assert!(message.contains("two.safetensors: it holds 2 arrays; one is expected"), "{message}");
}

#[test]
fn a_known_bug_is_named_with_exit_code_1() {
    let desk = desk();
    let inputs = CASE.inputs();
    let mutants = CASE.mutants();
    let mutant = mutants.iter().find(|m| m.name == "head-map-modulo").expect("there");
    desk.write("wrong.bin", &f64_bytes(&(mutant.run)(&inputs, Precision::Kernel)[0]));
    let run = desk.run(&words("validate c --got wrong.bin --dtype fp64"));
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    assert!(run.stdout.contains("wrong heads        1 2\n"), "{}", run.stdout);
    assert!(run.stdout.contains(&format!("likeliest cause: {}\n", mutant.says)), "{}", run.stdout);
    let run = desk.run(&words("validate c --got wrong.bin --dtype fp64 --json"));
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((run.code, &json["passed"]), (1, &false.into()));
    assert_eq!(json["suspects"][0]["names"], serde_json::json!(["head-map-modulo"]));
    assert_eq!(json["outputs"][0]["wrong"]["head"], serde_json::json!([1, 2]));
    let hidden = json["not_observable"].to_string();
    assert!(hidden.contains("window-missing") && hidden.contains("softcap-missing"), "{hidden}");
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let desk = desk();
    desk.write("short.bin", &[0; 12]);
    desk.write("empty/case.yaml", b"{}");
    desk.write("bad/case.yaml", b"attention:\n  heads: many\n");
    for (line, says) in [
        ("validate c --got c/k.npy", "shape [1, 70, 2, 16], the case's is [1, 5, 4, 16]"),
        ("validate c --got nowhere.npy", "cannot read nowhere.npy"),
        ("validate c --got c/README.md", "the file does not begin with"),
        (
            "validate c --got short.bin --dtype fp32",
            "12 bytes are not elements of fp32 in the shape [1, 5, 4, 16]",
        ),
        ("validate c --got short.bin --dtype fp33", "unknown type `fp33`"),
        ("validate c --got c/expected.npy --policy torhc", "did you mean `torch`"),
        ("validate nowhere --got c/expected.npy", "there is no such file"),
        ("validate bad --got c/expected.npy", "case.yaml:2"),
        ("validate empty --got c/expected.npy", "help: attention, varlen_attention, matmul"),
        ("golden attention --heads 8 --kv-heads 3 --out d", "8 query heads cannot share 3"),
        ("golden attention --seq 9 --kv-seq 4 --out d", "9 queries cannot end 4 positions"),
        ("golden attention --head-dim 0 --out d", "head_dim is 0"),
        ("golden attention --softcap=-1 --out d", "softcap is not a finite number above 0"),
        ("golden attention --seq 1000000 --out d", "more than 1e11 multiplications"),
    ] {
        desk.refuses(line, says);
    }
}

const ROUTING: &str = "golden routing --tokens 6 --experts 8 --active 2 --out r";

#[test]
fn outputs_of_several_names_come_as_files_or_as_one() {
    let desk = Desk::new();
    desk.ok(&words(ROUTING));
    let (experts, weights) = ("experts=r/expected_experts.npy", "weights=r/emulated_weights.npy");
    let both = format!("validate r --got {experts} --got {weights}");
    let told = desk.ok(&words(&both));
    assert!(told.contains("experts: right") && told.contains("weights: right"), "{told}");
    let case = RoutingCase {
        tokens: 6,
        experts: 8,
        active: 2,
        scoring: Scores::Softmax,
        unnormalised: false,
        scaling: 1.0,
        groups: None,
        active_groups: None,
        group_best: 2,
        correction: false,
        seed: 1,
    };
    let values = case.eval(&case.inputs(), Precision::Exact);
    let tensor = |(name, values): (&str, &Vec<f64>)| safetensors::Written {
        name: name.to_owned(),
        kind: Kind::F64,
        shape: vec![6, 2],
        bytes: f64_bytes(values),
    };
    let tensors: Vec<_> = ["experts", "weights"].into_iter().zip(&values).map(tensor).collect();
    let file = safetensors::file(&tensors, &BTreeMap::new()).expect("plain tensors");
    desk.write("all.safetensors", &file);
    assert!(desk.ok(&words("validate r --got all.safetensors")).starts_with("right"));
    for (line, says) in [
        (format!("validate r --got {experts}"), "output `weights` is missing"),
        (format!("{both} --got {experts}"), "output `experts` is given twice"),
        (format!("{both} --got wieghts=x.npy"), "did you mean `weights`"),
        (format!("{both} --got x.npy"), "`x.npy` is not NAME=FILE"),
        ("validate r --got r/logits.npy".to_owned(), "several arrays are expected"),
    ] {
        desk.refuses(&line, says);
    }
}

#[test]
fn a_report_has_a_picture_of_each_output_and_the_verdict() {
    let desk = Desk::new();
    desk.ok(&words(ROUTING));
    let line =
        "validate r --got experts=r/expected_experts.npy --got weights=r/expected_experts.npy";
    let run = desk.run(&words(&format!("{line} --report seen")));
    assert_eq!(run.code, 1, "{}", run.stderr);
    for name in ["experts.svg", "weights.svg", "verdict.txt", "verdict.json"] {
        assert!(desk.files().contains_key(&format!("seen/{name}")), "{name}");
    }
    assert_eq!(desk.read("seen/verdict.txt"), run.stdout);
    assert!(desk.read("seen/weights.svg").contains("weights: wrong by two-reference"));
    assert!(desk.read("seen/experts.svg").contains("experts: right by two-reference"));
}

#[test]
fn a_raw_file_may_say_its_shape() {
    let desk = desk();
    desk.write("out.bin", &f64_bytes(&CASE.eval(&CASE.inputs(), Precision::Exact)[0]));
    let line = "validate c --got out.bin --dtype fp64 --shape";
    assert!(desk.ok(&words(&format!("{line} 1,5,4,16"))).starts_with("right"));
    let message = desk.refused(&words(&format!("{line} 5,1,4,16")));
    assert!(message.contains("shape [5, 1, 4, 16], the case's is [1, 5, 4, 16]"), "{message}");
    let message = desk.refused(&words(&format!("{line} 1,5")));
    assert!(message.contains("2560 bytes are not elements of fp64"), "{message}");
}

/// What is written says how codes lie, and what the kernel's precision gives passes.
#[test]
fn cases_of_codes_scales_and_blocks_are_written_and_judged() {
    let desk = Desk::new();
    for (at, (line, says, outputs)) in [
        (
            "attention --value-dim 8 --kv-dtype fp8-e4m3 --kv-scales head --block 16 --seq 2",
            "k * k_scale[key head]",
            &[] as &[&str],
        ),
        ("varlen-attention --value-dim 8 --kv-dtype int8", "over a cache in int8", &[]),
        ("matmul --out-dtype int8", "the sum over out_scale[0]", &[]),
        ("matmul --out-dtype fp8-e4m3 --non-saturating", "beyond its range NaN", &[]),
        ("matmul --a fp8-e4m3-g32 --b fp8-e4m3-b128", "b_scales[r / 128, i / 128]", &[]),
        ("dequantize --format gguf-nvfp4", "64 elements, 36 bytes each", &[]),
        ("quantize --element gguf-q5_1", "32 elements has 24 bytes", &[]),
        ("quantize --element fp8-e4m3 --static-scales tensor", "The scale is scales[0]", &[]),
        ("quantize --element mxfp6-e2m3 --scale-mode even", "halves up", &["codes", "scales"]),
        ("kv-append --cache slots --kv-dtype int8", "whose slot is -1", &["k_out", "v_out"]),
    ]
    .into_iter()
    .enumerate()
    {
        desk.ok(&words(&format!("golden {line} --out d{at}")));
        let readme = desk.read(&format!("d{at}/README.md"));
        assert!(readme.contains(says), "{line}: {readme}");
        let got = match outputs {
            [] => format!("--got d{at}/emulated.npy"),
            names => {
                let each = names.iter().map(|n| format!("--got {n}=d{at}/emulated_{n}.npy"));
                each.collect::<Vec<_>>().join(" ")
            }
        };
        let told = desk.ok(&words(&format!("validate d{at} {got}")));
        assert!(told.contains("right by two-reference"), "{line}: {told}");
    }
}

#[test]
fn parts_that_do_not_go_together_are_refused() {
    let desk = Desk::new();
    for (line, says) in [
        ("matmul --a int8-g48 --out d", "-tensor, -channel, -g32"),
        ("matmul --b mxfp4-g64 --out d", "say what shares a scale"),
        ("matmul --out-dtype int8 --dtype fp16 --out d", "cannot be used with"),
        ("matmul --non-saturating --out d", "--out-dtype"),
        ("attention --kv-scales head --out d", "--kv-dtype"),
        ("quantize --element nvfp4 --static-scales tensor --out d", "static scales are of int8"),
        ("quantize --scale-mode even --out d", "scale_mode is of mxfp8"),
        ("quantize --element gguf-q4_0 --group 64 --out d", "group is 32 in this format"),
    ] {
        let run = desk.run(&words(&format!("golden {line}")));
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{line}");
        assert!(run.stderr.contains(says), "{line}: {}", run.stderr);
    }
}
