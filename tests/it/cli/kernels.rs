//! `cosim golden` and `cosim validate`: a right output passes, a wrong one is explained.

use crate::support::{Desk, words};
use cosim::formats::values::f64_bytes;
use cosim::formats::{Kind, safetensors};
use cosim::validate::cases::{Attention, Dtype};
use cosim::validate::{Case, POLICIES, Precision};
use std::collections::BTreeMap;

const GOLDEN: &str =
    "golden attention --heads 4 --head-dim 16 --batch 1 --seq 5 --kv-seq 70 --out c";

/// The case that `GOLDEN` writes.
const CASE: Attention = Attention {
    heads: 4,
    kv_heads: 2,
    head_dim: 16,
    batch: 1,
    seq: 5,
    kv_seq: Some(70),
    window: None,
    non_causal: false,
    block: None,
    softcap: None,
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
        ("validate empty --got c/expected.npy", "help: attention, matmul"),
        ("golden attention --heads 8 --kv-heads 3 --out d", "8 query heads cannot share 3"),
        ("golden attention --seq 9 --kv-seq 4 --out d", "9 queries cannot end 4 positions"),
        ("golden attention --head-dim 0 --out d", "head_dim is 0"),
        ("golden attention --softcap=-1 --out d", "softcap is not a finite number above 0"),
        ("golden attention --seq 1000000 --out d", "more than 1e11 multiplications"),
    ] {
        let message = desk.refused(&words(line));
        assert!(message.contains(says), "{line}: {message}");
    }
}
