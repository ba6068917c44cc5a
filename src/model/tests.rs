//! Model files: what is refused, and how it is said.

use super::*;

const GOOD: &str = "\
id: tiny
name: Tiny
source: made up
vocabulary: 256
hidden: 64
layers: 2
max_context: 128
attention: { heads: 4, kv_heads: 2 }
position: { rope: { theta: 10000, pairing: half } }
ffn: { inner: 128, activation: silu, gated: true }
norm: { kind: rms, epsilon: 1e-5 }
head: { tied: false }
";

fn read(text: &str) -> Result<Architecture, Diagnostic> {
    Architecture::from_yaml(&Source::new("tiny.yaml", text))
}

fn refused(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    read(&GOOD.replacen(from, to, 1)).expect_err("refused").to_string()
}

#[test]
fn defaults_are_mathematics() {
    let model = read(GOOD).expect("reads");
    assert_eq!(model.attention.head_dim, 16);
    assert_eq!(model.attention.scale, 0.25);
    assert_eq!(model.attention.windows, [None]);
    assert_eq!(model.block, Block::Sequential);
    let Position::Rope { rotary_dim, .. } = model.position else { panic!("rotary") };
    assert_eq!(rotary_dim, 16);
}

#[test]
fn windows_repeat_over_layers() {
    let model = load_bundled("gemma-2-9b").expect("bundled");
    let windows: Vec<_> = (0..4).map(|layer| model.attention.window(layer)).collect();
    assert_eq!(windows, [Some(4096), None, Some(4096), None]);
}

#[test]
fn sizes_that_do_not_fit_are_refused_at_their_place() {
    insta::assert_snapshot!(refused("hidden: 64", "hidden: 65"), @r"
    error: hidden 65 is not divisible by 4 heads
     --> tiny.yaml:8:21
      |
    8 | attention: { heads: 4, kv_heads: 2 }
      |                     ^^
      |
      = help: give `head_dim` where it is not hidden / heads
    ");
    insta::assert_snapshot!(refused("kv_heads: 2", "kv_heads: 3"), @r"
    error: 4 heads are not divisible by 3 kv_heads
     --> tiny.yaml:8:34
      |
    8 | attention: { heads: 4, kv_heads: 3 }
      |                                  ^
      |
      = help: each key-value head serves the same number of query heads
    ");
    insta::assert_snapshot!(refused("layers: 2", "layers: 0"), @r"
    error: `layers` is 0, expected at least 1
     --> tiny.yaml:6:9
      |
    6 | layers: 0
      |         ^
    ");
    insta::assert_snapshot!(refused("layers: 2", "layers: -2"), @r"
    error: layers: not a whole number
     --> tiny.yaml:6:9
      |
    6 | layers: -2
      |         ^^
      |
      = help: expected a whole number, for instance 4096
    ");
    insta::assert_snapshot!(refused("vocabulary: 256", "vocabulary: 2000000000000"), @r"
    error: `vocabulary` is 2000000000000, larger than 2^40
     --> tiny.yaml:4:13
      |
    4 | vocabulary: 2000000000000
      |             ^^^^^^^^^^^^^
      |
      = help: no published model comes near; is a digit or a separator wrong?
    ");
    insta::assert_snapshot!(refused("pairing: half", "pairing: half, rotary_dim: 7"), @r"
    error: `rotary_dim` is 7 in heads of 16
     --> tiny.yaml:9:62
      |
    9 | osition: { rope: { theta: 10000, pairing: half, rotary_dim: 7 } }
      |                                                             ^
      |
      = help: an even number from 2 to head_dim
    ");
    insta::assert_snapshot!(refused("pairing: half", "pairing: half, rotary_dim: 18"), @r"
    error: `rotary_dim` is 18 in heads of 16
     --> tiny.yaml:9:62
      |
    9 | osition: { rope: { theta: 10000, pairing: half, rotary_dim: 18 } }
      |                                                             ^^
      |
      = help: an even number from 2 to head_dim
    ");
    insta::assert_snapshot!(refused("id: tiny", "id: Tiny Model"), @r"
    error: `Tiny Model` is not a model id
     --> tiny.yaml:1:5
      |
    1 | id: Tiny Model
      |     ^^^^
      |
      = help: up to 64 lower-case letters, digits, dashes and dots, as in `llama-3.1-8b`
    ");
}

#[test]
fn wrong_fields_are_refused_at_their_place() {
    insta::assert_snapshot!(refused("kv_heads", "kv_head"), @r"
    error: unknown field `kv_head`
     --> tiny.yaml:8:24
      |
    8 | attention: { heads: 4, kv_head: 2 }
      |                        ^^^^^^^^
      |
      = help: did you mean `kv_heads`?
    ");
    insta::assert_snapshot!(refused("activation: silu", "activation: swiglu"), @r"
    error: ffn.activation: unknown value `swiglu`
      --> tiny.yaml:10:32
       |
    10 | ffn: { inner: 128, activation: swiglu, gated: true }
       |                                ^^^^^^^
       |
       = help: did you mean `silu`?
    ");
    insta::assert_snapshot!(refused("head: { tied: false }", "head: {}"), @r"
    error: missing field `tied`
      --> tiny.yaml:12:7
       |
    12 | head: {}
       |       ^^
    ");
    insta::assert_snapshot!(refused("kind: rms", "kind: layer"), @r"
    error: a layer norm needs `bias: true` or `bias: false`
      --> tiny.yaml:11:31
       |
    11 | norm: { kind: layer, epsilon: 1e-5 }
       |                               ^^^^
       |
       = help: layer norms of GPT, OPT and Falcon have a bias
    ");
    insta::assert_snapshot!(refused("kv_heads: 2", "kv_heads: 2, windows: [all]"), @r"
    error: attention.windows[0]: expected a window in tokens, or `full`
     --> tiny.yaml:8:47
      |
    8 | attention: { heads: 4, kv_heads: 2, windows: [all] }
      |                                               ^^^^
    ");
}

#[test]
fn no_size_overflows() {
    let largest = (1u64 << 40).to_string();
    let mut text = GOOD.to_owned();
    for size in ["vocabulary: 256", "hidden: 64", "layers: 2", "max_context: 128", "inner: 128"] {
        let (key, _) = size.split_once(':').expect("a field");
        text = text.replacen(size, &format!("{key}: {largest}"), 1);
    }
    assert!(read(&text).expect_err("refused").message.contains("2^60"));
    for value in ["0", ".nan", ".inf", "-1", "1e400", "x"] {
        for field in ["theta: 10000", "epsilon: 1e-5"] {
            let (key, _) = field.split_once(':').expect("a field");
            refused(field, &format!("{key}: {value}"));
        }
    }
}

#[test]
fn models_load_by_id_or_by_path() {
    let no_files = |_: &str| Err(Diagnostic::new("no such file"));
    assert_eq!(load("llama-3.1-8b", &no_files).expect("bundled").layers, 32);
    insta::assert_snapshot!(load("llama3.1-8b", &no_files).expect_err("unknown"), @"
    error: unknown model `llama3.1-8b`
     = help: did you mean `llama-3.1-8b` or `llama-3-8b` or `llama-2-13b`?
    ");
    assert_eq!(load("./m.yaml", &no_files).expect_err("absent").message, "no such file");

    let yaml = |path: &str| Ok(Source::new(path, GOOD));
    assert_eq!(load("models/tiny.yaml", &yaml).expect("reads").id, "tiny");
    let json = |path: &str| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/configs/gpt2.json");
        Ok(Source::new(path, std::fs::read_to_string(file).expect("fixture")))
    };
    assert_eq!(load("models/My_GPT2/config.json", &json).expect("reads").id, "my-gpt2");
    assert_eq!(load("config.json", &json).expect("reads").id, "config");
}

#[test]
fn every_scaling_survives_the_round_trip() {
    let mut model = load_bundled("llama-3-8b").expect("bundled");
    model.source = "quotes \" and \\ and: # signs".to_owned();
    model.attention.scale = 1.0 / 144f64.sqrt();
    model.embedding.scale = Some(12.0);
    for scaling in [
        RopeScaling::Linear { factor: 2.5 },
        RopeScaling::Yarn {
            factor: 4.0,
            original_context: 32768,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: 1.138_629_436_111_989,
            truncate: false,
        },
        RopeScaling::LongRope {
            short: vec![1.0; 64],
            long: (0..64).map(|i| 1.0 + f64::from(i) / 3.0).collect(),
            original_context: 4096,
            attention_factor: 1.19,
        },
        RopeScaling::Table { divisors: (0..64).map(|i| 1.0 + f64::from(i) / 8.0).collect() },
    ] {
        let Position::Rope { scaling: slot, .. } = &mut model.position else { panic!("rotary") };
        *slot = Some(scaling);
        assert_eq!(read(&model.to_yaml()).expect("reads"), model);
    }
}

#[test]
fn the_schema_describes_the_file() {
    let schema = schema();
    let required = schema["required"].as_array().expect("a list");
    assert!(required.iter().any(|r| r == "attention"), "{schema}");
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema.to_string().contains("sqrt-hidden"), "{schema}");
}

#[test]
fn the_published_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema/model.json");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let shown = format!("{:#}\n", schema());
    assert!(
        text == shown,
        "docs/schema/model.json is stale: it should be model::schema() as {{:#}}"
    );
}
