//! Encoders that do not fit their decoder, and requests that do not fit either.

use crate::support::{Desk, words};
use insta::assert_snapshot;

const MODEL: &str = "\
id: mine
name: Mine
source: nobody
vocabulary: 32128
hidden: 512
layers: 6
max_context: 512
attention: { heads: 8, kv_heads: 8, head_dim: 64 }
position: { relative: { buckets: 32, max_distance: 128 } }
ffn: { inner: 2048, activation: relu, gated: false }
norm: { kind: rms, epsilon: 1e-6 }
head: { tied: true, scale: 0.044 }
encoder: { layers: 6, max_source: 512, start_tokens: 1, input: tokens }
";

/// The message for the model with one text replaced.
fn refused(from: &str, to: &str) -> String {
    assert!(MODEL.contains(from));
    let desk = Desk::with(&[("mine.yaml", &MODEL.replace(from, to))]);
    desk.refused(&words("estimate --model mine.yaml --hardware l4 --batch 1 --prompt 8 --output 8"))
}

fn case(rest: &str) -> String {
    let start = "estimate --model t5-large --hardware h100-sxm --batch 1";
    Desk::new().refused(&words(&format!("{start} {rest}")))
}

#[test]
fn the_model_itself_is_good() {
    let desk = Desk::with(&[("mine.yaml", MODEL)]);
    desk.ok(&words(
        "estimate --model mine.yaml --hardware h100-sxm --batch 1 --prompt 8 --output 8",
    ));
}

#[test]
fn fields_of_an_encoder() {
    assert_snapshot!(refused(", input: tokens", ""), @r"
    error: missing field `input`
      --> mine.yaml:13:40
       |
    13 | encoder: { layers: 6, max_source: 512, start_tokens: 1 }
       |                                        ^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused("input: tokens", "input: text"), @r"
    error: encoder.input: unknown value `text`
      --> mine.yaml:13:64
       |
    13 | oder: { layers: 6, max_source: 512, start_tokens: 1, input: text }
       |                                                             ^^^^
       |
       = help: expected one of: tokens, audio
    ");
    assert_snapshot!(refused("encoder: { layers: 6", "encoder: { layers: 0"), @r"
    error: `encoder.layers` is 0, expected at least 1
      --> mine.yaml:13:20
       |
    13 | encoder: { layers: 0, max_source: 512, start_tokens: 1, input: tokens }
       |                    ^^
    ");
    assert_snapshot!(refused("start_tokens: 1", "start_tokens: 512"), @r"
    error: a decoder of 512 tokens cannot begin with 512
      --> mine.yaml:13:54
       |
    13 | encoder: { layers: 6, max_source: 512, start_tokens: 512, input: tokens }
       |                                                      ^^^^
    ");
    assert_snapshot!(refused("buckets: 32", "buckets: 3"), @r"
    error: `buckets` is 3, expected an even number from 4
     --> mine.yaml:9:34
      |
    9 | position: { relative: { buckets: 3, max_distance: 128 } }
      |                                  ^^
      |
      = help: T5 has 32; the limit is 65536
    ");
    assert_snapshot!(refused("max_distance: 128", "max_distance: 16"), @r"
    error: `max_distance` 16 is within the 16 buckets of one distance
     --> mine.yaml:9:52
      |
    9 | position: { relative: { buckets: 32, max_distance: 16 } }
      |                                                    ^^
      |
      = help: T5 has 128
    ");
    assert_snapshot!(refused("scale: 0.044", "scale: 0"), @r"
    error: `head.scale` is 0, expected a positive number
      --> mine.yaml:12:28
       |
    12 | head: { tied: true, scale: 0 }
       |                            ^
    ");
}

#[test]
fn what_goes_with_a_decoder_alone() {
    assert_snapshot!(refused(
        "{ relative: { buckets: 32, max_distance: 128 } }",
        "{ rope: { theta: 10000, pairing: half } }",
    ), @r"
    error: an encoder of tokens needs `position: relative`
      --> mine.yaml:13:64
       |
    13 | oder: { layers: 6, max_source: 512, start_tokens: 1, input: tokens }
       |                                                             ^^^^^^
    ");
    assert_snapshot!(refused("input: tokens", "input: { audio: { mel_bins: 128 } }"), @r"
    error: an encoder of audio needs `position: learned`
      --> mine.yaml:13:64
       |
    13 | oder: { layers: 6, max_source: 512, start_tokens: 1, input: { audio: { mel_bins: 128 } } }
       |                                                             ^
    ");
    assert_snapshot!(refused("head_dim: 64", "head_dim: 64, sinks: true"), @r"
    error: `qk_norm` and `sinks` are not modelled beside an encoder
     --> mine.yaml:8:21
      |
    8 | attention: { heads: 8, kv_heads: 8, head_dim: 64, sinks: true }
      |                     ^^
    ");
    assert_snapshot!(refused("epsilon: 1e-6", "epsilon: 1e-6, post: true"), @r"
    error: norms behind the sublayers are not modelled beside an encoder
      --> mine.yaml:11:41
       |
    11 | norm: { kind: rms, epsilon: 1e-6, post: true }
       |                                         ^^^^
    ");
    assert_snapshot!(refused("norm: {", "block: { parallel: { norms: 1 } }\nnorm: {"), @r"
    error: cross-attention needs a sequential block
      --> mine.yaml:11:8
       |
    11 | block: { parallel: { norms: 1 } }
       |        ^
    ");
    let experts = "experts: { count: 4, active: 2, scoring: softmax, normalise: true }\nnorm: {";
    assert_snapshot!(refused("norm: {", experts), @r"
    error: experts are not modelled beside an encoder
      --> mine.yaml:11:19
       |
    11 | experts: { count: 4, active: 2, scoring: softmax, normalise: true }
       |                   ^^
    ");
}

#[test]
fn requests_and_techniques() {
    assert_snapshot!(case("--phase decode --context 2"), @r"error: context leaves the encoder nothing behind the decoder's own tokens; expected at least 3");
    assert_snapshot!(case("--prompt 8 --output 8 --pp 25"), @r"
    error: 25 pipeline stages are more than the 24 layers of t5-large
     = help: a stage holds at least one layer
    ");
    let desk = Desk::with(&[(
        "mine.yaml",
        &MODEL.replace("encoder: { layers: 6", "encoder: { layers: 3"),
    )]);
    let start = "estimate --model mine.yaml --hardware h100-sxm --batch 1 --prompt 8 --output 8";
    desk.ok(&words(&format!("{start} --pp 3")));
    assert_snapshot!(desk.refused(&words(&format!("{start} --pp 4"))), @r"
    error: 4 pipeline stages are more than the 3 encoder layers of mine
     = help: a stage holds at least one layer of encoder and decoder
    ");
    assert_snapshot!(case("--prompt 8 --output 8 --heads gqa-5"), @r"
    error: 5 groups do not divide the 16 query heads of t5-large
     = help: it takes 1, 2, 4, 8, 16
    ");
    let draft = "--prompt 8 --output 8 --acceptance 0.8";
    assert_snapshot!(case(&format!("{draft} --speculate mtp:1")), @r"
    error: t5-large has an encoder
     = help: multi-token-prediction modules are those of decoder-only models
    ");
    let desk = Desk::with(&[("mine.yaml", &MODEL.replace("start_tokens: 1", "start_tokens: 2"))]);
    let start = "estimate --model t5-large --hardware h100-sxm --batch 1 --draft mine.yaml";
    assert_snapshot!(desk.refused(&words(&format!("{start} {draft}"))), @r"
    error: draft mine and target t5-large do not begin alike
     = help: both need an encoder of the same input and the same start tokens, or none
    ");
    assert_snapshot!(Desk::new().refused(&words("graph --model gpt2 --phase encode")), @r"
    error: gpt2 has no encode step
     = help: only models with an encoder encode: prefill, decode
    ");
}

#[test]
fn configs_of_two_stacks() {
    let import = |name: &str, from: &str, to: &str| {
        let path = format!("{}/tests/fixtures/configs/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("fixture");
        assert!(text.contains(from));
        let desk = Desk::with(&[("config.json", &text.replacen(from, to, 1))]);
        desk.refused(&words("model import config.json"))
    };
    let heads = "\"decoder_attention_heads\": 20";
    assert_snapshot!(import("whisper-large-v3", heads, "\"decoder_attention_heads\": 16"), @r#"
    error: `encoder_attention_heads` 20 is not `decoder_attention_heads` 16
      --> config.json:17:3
       |
    17 |   "decoder_attention_heads": 16,
       |   ^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: both stacks have layers of one size
    "#);
    let gated = "\"feed_forward_proj\": \"gated-gelu\"";
    let other = "\"feed_forward_proj\": \"gated-mish\"";
    assert_snapshot!(import("t5-v1.1-xxl", gated, other), @r#"
    error: feed_forward_proj `gated-mish` is not supported
      --> config.json:11:3
       |
    11 |   "feed_forward_proj": "gated-mish",
       |   ^^^^^^^^^^^^^^^^^^^^
       |
       = help: supported: relu, gated-gelu, gated-silu
    "#);
    let both = "\"is_encoder_decoder\": true";
    assert_snapshot!(import("t5-large", both, "\"is_encoder_decoder\": false"), @r#"
    error: a `t5` model without its decoder is not supported
      --> config.json:12:3
       |
    12 |   "is_encoder_decoder": false,
       |   ^^^^^^^^^^^^^^^^^^^^^
    "#);
}
