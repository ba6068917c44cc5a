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
    assert_snapshot!(refused(", value: 32", ""), @"");
    assert_snapshot!(refused("key_value: 64", "key_value: 0"), @"");
    assert_snapshot!(refused("kv_heads: 8", "kv_heads: 4"), @"");
    assert_snapshot!(refused("rotary_dim: 16", "rotary_dim: 48"), @"");
    assert_snapshot!(refused("head_dim: 48", "head_dim: 48, qk_norm: true"), @"");
    assert_snapshot!(refused("head_dim: 48", "head_dim: 48, windows: [64]"), @"");
}

#[test]
fn what_ifs_of_the_other_kind() {
    assert_snapshot!(case("--model llama-2-7b --mla absorbed"), @"");
    assert_snapshot!(case("--model deepseek-v3 --mla folded"), @"");
    assert_snapshot!(case("--model deepseek-v3 --heads mqa"), @"");
    assert_snapshot!(case("--model deepseek-v3 --window 4096"), @"");
    assert_snapshot!(case("--model deepseek-v3 --tp 3"), @"");
}
