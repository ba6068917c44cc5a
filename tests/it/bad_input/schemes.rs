//! Scheme files and sparsity.

use crate::support::{Desk, words};
use insta::assert_snapshot;

const SCHEME: &str = "\
base: w8a8
overrides:
  - {layers: [0, -1], quant: 16bit}
  - {tensors: head.logits, quant: w8a16}
";

const CASE: &str =
    "estimate --model llama-2-7b --hardware h100-sxm --batch 1 --prompt 8 --output 8";

/// The message for the scheme file with one text replaced.
fn refused(from: &str, to: &str) -> String {
    assert!(SCHEME.contains(from));
    let desk = Desk::with(&[("mixed.yaml", &SCHEME.replace(from, to))]);
    desk.refused(&words(&format!("{CASE} --quant mixed.yaml")))
}

fn sparse(rest: &str) -> String {
    Desk::new().refused(&words(&format!("{CASE} {rest}")))
}

#[test]
fn scheme_files_have_a_base_and_overrides_of_something() {
    assert_snapshot!(refused("base: w8a8", "base: w9a8"), @"
    error: unknown quantization scheme `w9a8`: it does not start with a format or w<bits>a<bits>
     --> mixed.yaml:1:7
      |
    1 | base: w9a8
      |       ^^^^
      |
      = help: did you mean `w8a8`?
    ");
    assert_snapshot!(refused("base: w8a8\n", ""), @"
    error: missing field `base`
     --> mixed.yaml:1:1
      |
    1 | overrides:
      | ^^^^^^^^^^
    ");
    assert_snapshot!(refused("tensors: head", "tensor: head"), @"
    error: unknown field `tensor`
     --> mixed.yaml:4:6
      |
    4 |   - {tensor: head.logits, quant: w8a16}
      |      ^^^^^^^
      |
      = help: did you mean `tensors`?
    ");
    assert_snapshot!(refused("quant: 16bit", "quant: q4_k_m"), @"
    error: `q4_k_m` is no override: a GGUF mix spans the whole model
     --> mixed.yaml:3:30
      |
    3 |   - {layers: [0, -1], quant: q4_k_m}
      |                              ^^^^^^^
      |
      = help: name the type itself, for instance `wq6_ka16`
    ");
    assert_snapshot!(refused("quant: 16bit", "quant: w8a16-kv8"), @"
    error: `w8a16-kv8` is no override: the KV cache has one format
     --> mixed.yaml:3:30
      |
    3 |   - {layers: [0, -1], quant: w8a16-kv8}
      |                              ^^^^^^^^^^
      |
      = help: put `-kv...` behind the base
    ");
    assert_snapshot!(refused("layers: [0, -1], ", ""), @"
    error: `16bit` is no override: it is for every tensor
     --> mixed.yaml:3:13
      |
    3 |   - {quant: 16bit}
      |             ^^^^^^
      |
      = help: add `layers: [0, -1]` or `tensors: attn.*`
    ");
}

#[test]
fn overrides_are_for_layers_and_tensors_that_exist() {
    assert_snapshot!(refused("layers: [0, -1]", "layers: [first]"), @r#"
    error: layers: `first` is neither a layer nor a stretch of them
     --> mixed.yaml:3:14
      |
    3 |   - {layers: [first], quant: 16bit}
      |              ^^^^^^^^
      |
      = help: for instance `layers: [0, 1, "-2..-1"]`
    "#);
    assert_snapshot!(refused("layers: [0, -1]", "layers: [\"3..1\"]"), @r#"
    error: layers: `3..1` is neither a layer nor a stretch of them
     --> mixed.yaml:3:14
      |
    3 |   - {layers: ["3..1"], quant: 16bit}
      |              ^^^^^^^^^
      |
      = help: for instance `layers: [0, 1, "-2..-1"]`
    "#);
    assert_snapshot!(refused("layers: [0, -1]", "layers: [32]"), @"
    error: an override is for no tensor of the model
     --> mixed.yaml:3:27
      |
    3 |   - {layers: [32], quant: 16bit}
      |                           ^^^^^^
      |
      = help: its tensors are attn.k, attn.out, attn.q, attn.v, embed.tokens, ffn.down, ffn.gate, ffn.up, head.logits; layers count from 0
    ");
    assert_snapshot!(refused("layers: [0, -1]", "layers: 0"), @"
    error: overrides[0].layers: expected a list, such as `[1, 8, 64]`
     --> mixed.yaml:3:14
      |
    3 |   - {layers: 0, quant: 16bit}
      |              ^^
    ");
    assert_snapshot!(refused("tensors: head.logits", "tensors: lm_head"), @"
    error: an override is for no tensor of the model
     --> mixed.yaml:4:31
      |
    4 |   - {tensors: lm_head, quant: w8a16}
      |                               ^^^^^^
      |
      = help: its tensors are attn.k, attn.out, attn.q, attn.v, embed.tokens, ffn.down, ffn.gate, ffn.up, head.logits; layers count from 0
    ");
}

#[test]
fn sparsity_is_two_of_four_or_a_density() {
    assert_snapshot!(sparse("--sparsity 2:8"), @"
    error: --sparsity 2:8: expected 2:4, or the density of the weights, above 0 and at most 1
     = help: `dense`, `2:4`, or a density such as 0.5
    ");
    assert_snapshot!(sparse("--sparsity 0"), @"
    error: --sparsity 0: expected 2:4, or the density of the weights, above 0 and at most 1
     = help: `dense`, `2:4`, or a density such as 0.5
    ");
    assert_snapshot!(sparse("--quant mxfp4 --sparsity 2:4"), @"
    error: --sparsity 2:4: `-s2:4` needs weights in plain formats or dense groups
     = help: `dense`, `2:4`, or a density such as 0.5
    ");
    assert_snapshot!(sparse("--quant bf16-static"), @"
    error: --quant: unknown quantization scheme `bf16-static`: `-static` needs int8 or fp8 activations
     = help: did you mean `bf16`?
    ");
}
