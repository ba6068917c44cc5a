//! Model YAML and Hugging Face config.json.

use crate::support::{Desk, words};
use insta::assert_snapshot;

const MODEL: &str = "\
id: mine
name: Mine
source: nobody
vocabulary: 32000
hidden: 4096
layers: 32
max_context: 4096
attention: { heads: 32, kv_heads: 8 }
position: { rope: { theta: 10000, pairing: half } }
ffn: { inner: 11008, activation: silu, gated: true }
norm: { kind: rms, epsilon: 1e-5 }
head: { tied: false }
";

/// The message for the model with one text replaced.
fn refused(from: &str, to: &str) -> String {
    assert!(MODEL.contains(from));
    let desk = Desk::with(&[("mine.yaml", &MODEL.replace(from, to))]);
    desk.refused(&words("estimate --model mine.yaml --hardware t4 --batch 1 --prompt 8 --output 8"))
}

#[test]
fn sizes_fit_together() {
    assert_snapshot!(refused("heads: 32,", "heads: 30,"), @"
    error: hidden 4096 is not divisible by 30 heads
     --> mine.yaml:8:21
      |
    8 | attention: { heads: 30, kv_heads: 8 }
      |                     ^^^
      |
      = help: give `head_dim` where it is not hidden / heads
    ");
    assert_snapshot!(refused("kv_heads: 8", "kv_heads: 5"), @"
    error: 32 heads are not divisible by 5 kv_heads
     --> mine.yaml:8:35
      |
    8 | attention: { heads: 32, kv_heads: 5 }
      |                                   ^
      |
      = help: each key-value head serves the same number of query heads
    ");
    assert_snapshot!(refused("kv_heads: 8", "kv_heads: 0"), @"
    error: `attention.kv_heads` is 0, expected at least 1
     --> mine.yaml:8:35
      |
    8 | attention: { heads: 32, kv_heads: 0 }
      |                                   ^
    ");
    assert_snapshot!(refused("kv_heads: 8", "kv_heads: 8, head_dim: 127"), @"
    error: `rotary_dim` is 127 in heads of 127
     --> mine.yaml:8:48
      |
    8 | attention: { heads: 32, kv_heads: 8, head_dim: 127 }
      |                                                ^^^
      |
      = help: an even number from 2 to head_dim
    ");
    assert_snapshot!(refused("kv_heads: 8", "kv_heads: 8, windows: [0]"), @"
    error: `attention.windows` is 0, expected at least 1
     --> mine.yaml:8:47
      |
    8 | attention: { heads: 32, kv_heads: 8, windows: [0] }
      |                                               ^^^
    ");
    assert_snapshot!(refused("hidden: 4096", "hidden: 1099511627776"), @"
    error: the model would have 96714066801539250271551488 parameters, more than 2^60
     --> mine.yaml:6:9
      |
    6 | layers: 32
      |         ^^
    ");
    assert_snapshot!(refused("1e-5", ".nan"), @"
    error: `norm.epsilon` is NaN, expected a positive number
      --> mine.yaml:11:29
       |
    11 | norm: { kind: rms, epsilon: .nan }
       |                             ^^^^
    ");
}

#[test]
fn fields_are_known_given_once_and_typed() {
    assert_snapshot!(refused("hidden:", "hiden:"), @"
    error: unknown field `hiden`
     --> mine.yaml:5:1
      |
    5 | hiden: 4096
      | ^^^^^^
      |
      = help: did you mean `hidden`?
    ");
    assert_snapshot!(refused("layers: 32", "layers: 32\nlayers: 40"), @"
    error: duplicate key `layers`
     --> mine.yaml:7:1
      |
    7 | layers: 40
      | ^^^^^^^
      |
      = help: a key stands once in a mapping
    ");
    assert_snapshot!(refused("layers: 32\n", ""), @"
    error: missing field `layers`
      --> mine.yaml:11:1
       |
    11 | head: { tied: false }
       | ^^^^^
    ");
    assert_snapshot!(refused("layers: 32", "layers: -32"), @"
    error: layers: not a whole number
     --> mine.yaml:6:9
      |
    6 | layers: -32
      |         ^^^
      |
      = help: expected a whole number, for instance 4096
    ");
    assert_snapshot!(refused("id: mine", "id: ../mine"), @"
    error: `../mine` is not a model id
     --> mine.yaml:1:5
      |
    1 | id: ../mine
      |     ^^^^^^^
      |
      = help: up to 64 lower-case letters, digits, dashes and dots, as in `llama-3.1-8b`
    ");
    assert_snapshot!(refused("head: { tied: false }", "head: { tied: false }\n---\nid: two"), @"
    error: more than one YAML document in a file
      --> mine.yaml:14:1
       |
    14 | id: two
       | ^^^
    ");
}

/// The message for the model with such experts.
fn refused_experts(fields: &str) -> String {
    refused("norm:", &format!("experts: {{ {fields} }}\nnorm:"))
}

fn experts(fields: &str) -> String {
    refused_experts(&format!("{fields}, scoring: softmax, normalise: true"))
}

#[test]
fn experts_are_as_many_as_a_token_needs() {
    assert_snapshot!(experts("count: 8, active: 9"), @"
    error: 9 active experts of 8
      --> mine.yaml:11:30
       |
    11 | experts: { count: 8, active: 9, scoring: softmax, normalise: true }
       |                              ^^
       |
       = help: a token passes at most every expert
    ");
    assert_snapshot!(experts("count: 0, active: 2"), @"
    error: `experts.count` is 0, expected at least 1
      --> mine.yaml:11:19
       |
    11 | experts: { count: 0, active: 2, scoring: softmax, normalise: true }
       |                   ^^
    ");
    assert_snapshot!(experts("count: 8, active: 2, inner: 1024"), @"
    error: experts have inner width 1024, `ffn` has 11008
      --> mine.yaml:11:40
       |
    11 | experts: { count: 8, active: 2, inner: 1024, scoring: softmax, normalise: true }
       |                                        ^^^^^
       |
       = help: no layer is dense: `ffn.inner` is the experts'
    ");
    assert_snapshot!(experts("count: 8, active: 2, dense_layers: 32"), @"
    error: 32 dense layers of 32 leave none
      --> mine.yaml:11:47
       |
    11 | experts: { count: 8, active: 2, dense_layers: 32, scoring: softmax, normalise: true }
       |                                               ^^^
       |
       = help: without layers with experts, leave `experts` out
    ");
    assert_snapshot!(experts("count: 8, active: 2, groups: { count: 3, active: 1, best: 1 }"), @"
    error: 8 experts are not divisible by 3 groups
      --> mine.yaml:11:41
       |
    11 | experts: { count: 8, active: 2, groups: { count: 3, active: 1, best: 1 }, scoring: softmax, normalise: true }
       |                                         ^
    ");
    assert_snapshot!(experts("count: 8, active: 2, limit: -7"), @"
    error: `experts.limit` is -7, expected a positive number
      --> mine.yaml:11:40
       |
    11 | experts: { count: 8, active: 2, limit: -7, scoring: softmax, normalise: true }
       |                                        ^^^
    ");
    assert_snapshot!(refused_experts("count: 8, active: 2, scoring: sparsemax, normalise: true"), @"
    error: experts.scoring: unknown value `sparsemax`
      --> mine.yaml:11:42
       |
    11 | experts: { count: 8, active: 2, scoring: sparsemax, normalise: true }
       |                                          ^^^^^^^^^^
       |
       = help: expected one of: softmax, top-k-softmax, sigmoid
    ");
    assert_snapshot!(refused_experts("count: 8"), @"
    error: missing field `active`
      --> mine.yaml:11:12
       |
    11 | experts: { count: 8 }
       |            ^^^^^^
    ");
}

#[test]
fn many_different_windows_are_refused_at_once() {
    let windows: Vec<String> = (1..=2000).map(|n| n.to_string()).collect();
    let windows = format!("kv_heads: 8, windows: [{}]", windows.join(","));
    let text = MODEL.replace("layers: 32", "layers: 1000000000").replace("kv_heads: 8", &windows);
    let desk = Desk::with(&[("mine.yaml", &text)]);
    let shown = desk.refused(&["model", "show", "mine.yaml"]);
    assert!(shown.contains("2000 entries, 2000 of them different"), "{shown}");
}

#[test]
fn a_billion_layers_take_no_time() {
    let desk = Desk::with(&[("mine.yaml", &MODEL.replace("layers: 32", "layers: 1000000000"))]);
    let case = "estimate --model mine.yaml --hardware t4 --batch 1 --prompt 8 --output 8 --json";
    let run = desk.run(&words(case));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.took.as_secs() < 2, "{:?}", run.took);
}

/// The message for a config.json.
fn import(text: &str) -> String {
    Desk::with(&[("config.json", text)]).refused(&words("model import config.json"))
}

#[test]
fn configs_are_whole_and_of_a_known_family() {
    assert_snapshot!(import("{\"model_type\": \"llama\", \"hidden_size\": 40"), @r#"
    error: not a JSON object: EOF while parsing an object
     --> config.json:1:41
      |
    1 | {"model_type": "llama", "hidden_size": 40
      |                                         ^
      |
      = help: expected the whole config.json of a Hugging Face model
    "#);
    assert_snapshot!(import(""), @"
    error: config.json: not a JSON object: EOF while parsing a value
     = help: expected the whole config.json of a Hugging Face model
    ");
    assert_snapshot!(import("{}"), @"
    error: config.json: neither `model_type` nor `architectures` is there
     = help: is this a Hugging Face config.json?
    ");
    assert_snapshot!(import("{\"architectures\": [\"MambaForCausalLM\"], \"model_type\": \"mamba\"}"), @r#"
    error: architecture `MambaForCausalLM` (model_type `mamba`) is not supported
     --> config.json:1:41
      |
    1 | {"architectures": ["MambaForCausalLM"], "model_type": "mamba"}
      |                                         ^^^^^^^^^^^^^
      |
      = help: supported: bloom, cohere, deepseek_v2, deepseek_v3, falcon, gemma2, gemma3_text, gpt2, gpt_neox, gpt_oss, gptj, llama, mistral, mixtral, olmo2, opt, phi3, qwen2, qwen3, qwen3_moe, t5, whisper
    "#);
    assert_snapshot!(import("{\"model_type\": \"llama\"}"), @"error: config.json: missing field `hidden_size`, which a `llama` model needs");
    assert_snapshot!(import("{\"model_type\": \"llama\", \"hidden_size\": 1e400}"), @r#"
    error: not a JSON object: number out of range
     --> config.json:1:44
      |
    1 | {"model_type": "llama", "hidden_size": 1e400}
      |                                            ^^
      |
      = help: expected the whole config.json of a Hugging Face model
    "#);
    import(&"[".repeat(100_000));
    import(&"{\"a\":".repeat(100_000));
}
