//! Latent attention that does not fit its model, and what-ifs of another kind of attention.

use crate::support::{Desk, words};
use insta::assert_snapshot;

const MODEL: &str = "\
id: mine
name: Mine
source: nobody
vocabulary: 1024
hidden: 256
layers: 4
max_context: 512
attention: { heads: 8, kv_heads: 8, head_dim: 48, latent: { key_value: 64, value: 32 } }
position: { rope: { theta: 10000, pairing: interleaved, rotary_dim: 16 } }
ffn: { inner: 512, activation: silu, gated: true }
norm: { kind: rms, epsilon: 1e-6 }
head: { tied: false }
";

const REQUEST: &str = "--hardware h200-sxm --batch 1 --prompt 8 --output 8";

/// The message for the model with one text replaced.
fn refused(from: &str, to: &str) -> String {
    assert!(MODEL.contains(from));
    let desk = Desk::with(&[("mine.yaml", &MODEL.replace(from, to))]);
    desk.refused(&words(&format!("estimate --model mine.yaml {REQUEST}")))
}

fn case(rest: &str) -> String {
    Desk::new().refused(&words(&format!("estimate {REQUEST} {rest}")))
}

#[test]
fn the_model_itself_is_good_in_every_form() {
    let desk = Desk::with(&[("mine.yaml", MODEL)]);
    for form in ["auto", "expanded", "absorbed"] {
        desk.ok(&words(&format!("estimate --model mine.yaml {REQUEST} --tp 2 --mla {form}")));
    }
}

#[test]
fn fields_of_latent_attention() {
    assert_snapshot!(refused(", value: 32", ""), @r"
    error: missing field `value`
     --> mine.yaml:8:61
      |
    8 | attention: { heads: 8, kv_heads: 8, head_dim: 48, latent: { key_value: 64 } }
      |                                                             ^^^^^^^^^^
    ");
    assert_snapshot!(refused("key_value: 64", "key_value: 0"), @r"
    error: `attention.latent` is 0, expected at least 1
     --> mine.yaml:8:59
      |
    8 | attention: { heads: 8, kv_heads: 8, head_dim: 48, latent: { key_value: 0, value: 32 } }
      |                                                           ^
    ");
    let wide = refused("value: 32", "value: 1000000000000");
    assert_snapshot!(wide.lines().next().unwrap_or_default(), @"error: heads x the latent attention's `value` is larger than 2^40");
    assert_snapshot!(refused("kv_heads: 8", "kv_heads: 4"), @r"
    error: latent attention has as many kv_heads as heads
     --> mine.yaml:8:59
      |
    8 | attention: { heads: 8, kv_heads: 4, head_dim: 48, latent: { key_value: 64, value: 32 } }
      |                                                           ^
    ");
    assert_snapshot!(refused("rotary_dim: 16", "rotary_dim: 48"), @r"
    error: latent attention needs `position: rope` with a `rotary_dim` below `head_dim`
     --> mine.yaml:8:59
      |
    8 | attention: { heads: 8, kv_heads: 8, head_dim: 48, latent: { key_value: 64, value: 32 } }
      |                                                           ^
    ");
    assert_snapshot!(refused("head_dim: 48", "head_dim: 48, qk_norm: true"), @r"
    error: latent attention does not go with qk_norm
     --> mine.yaml:8:74
      |
    8 | heads: 8, kv_heads: 8, head_dim: 48, qk_norm: true, latent: { key_value: 64, value: 32 } }
      |                                                             ^
    ");
    assert_snapshot!(refused("head_dim: 48", "head_dim: 48, windows: [64]"), @r"
    error: latent attention does not go with windows
     --> mine.yaml:8:74
      |
    8 | heads: 8, kv_heads: 8, head_dim: 48, windows: [64], latent: { key_value: 64, value: 32 } }
      |                                                             ^
    ");
}

#[test]
fn what_ifs_of_the_other_kind() {
    assert_snapshot!(case("--model llama-2-7b --mla absorbed"), @r"
    error: llama-2-7b has no latent attention
     = help: --mla is for deepseek-v3 and its like
    ");
    assert_snapshot!(case("--model deepseek-v3 --mla folded"), @r"
    error: --mla: unknown form `folded`
     = help: expected one of: auto, expanded, absorbed
    ");
    assert_snapshot!(case("--model deepseek-v3 --heads mqa"), @r"
    error: deepseek-v3 has latent attention, whose heads share one cache
     = help: its forms are --mla auto, expanded or absorbed; --heads and --window are for others
    ");
    assert_snapshot!(case("--model deepseek-v3 --window 4096"), @r"
    error: deepseek-v3 has latent attention, whose heads share one cache
     = help: its forms are --mla auto, expanded or absorbed; --heads and --window are for others
    ");
    assert_snapshot!(case("--model deepseek-v3 --tp 3"), @r"
    error: tensor parallelism over 3 devices does not divide the 128 query and 128 key-value heads of deepseek-v3
     = help: one of 1, 2, 4, 8, 16, 32, 64, 128
    ");
}
