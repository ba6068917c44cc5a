//! KV layouts, reservations and offload that do not exist or do not go together.

use crate::support::{Desk, words};
use insta::assert_snapshot;

fn refused(rest: &str) -> String {
    let case = "estimate --model llama-3-8b --batch 1 --prompt 100 --output 28 --hardware";
    Desk::new().refused(&words(&format!("{case} {rest}")))
}

#[test]
fn arguments() {
    assert_snapshot!(refused("h100-sxm --kv-layout paged --block-size 0"), @"
    error: --block-size: a KV block of `0` tokens; expected a whole number of at least 1
     = help: 16 is usual
    ");
    assert_snapshot!(refused("h100-sxm --kv-layout paged:0"), @"
    error: --kv-layout: a KV block of `0` tokens; expected a whole number of at least 1
     = help: 16 is usual
    ");
    assert_snapshot!(refused("h100-sxm --kv-layout pages"), @"
    error: unknown KV cache layout `pages`
     = help: did you mean `paged` or `paged:16`?
    ");
    assert_snapshot!(refused("h100-sxm --kv-reserve min"), @"
    error: --kv-reserve: unknown reservation `min`
     = help: expected one of: max:2048, pow2, oracle
    ");
    assert_snapshot!(refused("h100-sxm --kv-reserve max:0"), @"
    error: --kv-reserve: `max:0` reserves no number of tokens
     = help: for instance max:2048
    ");
    assert_snapshot!(refused("h100-sxm --kv-reserve max:127"), @"error: a sequence of 128 tokens is longer than the 127 that the KV cache reserves");
    assert_snapshot!(refused("h100-sxm --block-size 16"), @"
    error: a contiguous KV cache has no blocks of 16 tokens
     = help: a block size goes with the layout `paged`
    ");
    assert_snapshot!(refused("h100-sxm --kv-layout paged --kv-reserve pow2"), @"
    error: a paged KV cache reserves nothing, so no `pow2`
     = help: a reservation goes with the layout `contiguous`
    ");
    assert_snapshot!(refused("h100-sxm --offload cache"), @"
    error: unknown part to offload `cache`
     = help: expected one of: none, kv, weights, kv+weights
    ");
    assert_snapshot!(refused("m1-max --offload kv"), @"
    error: m1-max has no `host` link in its profile, which offloaded bytes pass
     = help: give its bandwidth under `links:` in a profile that extends this one
    ");
}

#[test]
fn sharing() {
    assert_snapshot!(refused("h100-sxm --samples 0"), @"
    error: --samples: `0` sequences of a prompt; expected a whole number from 1 to 1024
     = help: 1 shares nothing
    ");
    assert_snapshot!(refused("h100-sxm --beams -1"), @"
    error: --beams: `-1` sequences of a prompt; expected a whole number from 1 to 1024
     = help: 1 shares nothing
    ");
    assert_snapshot!(refused("h100-sxm --shared-prefix half"), @"
    error: --shared-prefix: a prefix of `half` tokens; expected a whole number
     = help: 0 shares nothing
    ");
    assert_snapshot!(refused("h100-sxm --samples 2 --beams 2"), @"
    error: 2 samples and 2 beams of one prompt
     = help: samples or beams, the other is 1
    ");
    assert_snapshot!(refused("h100-sxm --samples 2 --kv-layout contiguous"), @"
    error: sequences share nothing of a contiguous KV cache
     = help: a shared prefix, samples and beams go with the layout `paged`
    ");
    assert_snapshot!(refused("h100-sxm --shared-prefix 101"), @"error: a shared prefix of 101 tokens is longer than the 100 of the prompt");
    let step =
        "estimate --model llama-3-8b --hardware h100-sxm --batch 4 --phase decode --context 64";
    let step = |rest: &str| Desk::new().refused(&words(&format!("{step} {rest}")));
    assert_snapshot!(step("--beams 4"), @"error: a decode step alone does not say which prompt its sequences share");
    let encoder = "estimate --model t5-large --hardware h100-sxm --batch 4 --prompt 64 --output 8";
    let encoder = Desk::new().refused(&words(&format!("{encoder} --shared-prefix 32")));
    assert_snapshot!(encoder, @"error: the prompt of an encoder has no prefix whose keys and values are kept");
}

#[test]
fn scenarios_and_axes() {
    let desk = Desk::new();
    let traffic = "traffic: {batch: 1, prompt: 100, output: 28}";
    let scenario = |cache: &str| {
        let text = format!("name: mine\nmodel: llama-3-8b\n{cache}\n{traffic}\n");
        desk.write("mine.yaml", text.as_bytes());
        desk.refused(&words("sweep mine.yaml --hardware h100-sxm --csv-only"))
    };
    assert_snapshot!(scenario("kv_cache: {layout: contiguous, samples: 4}"), @"
    error: sequences share nothing of a contiguous KV cache
     --> mine.yaml:3:41
      |
    3 | kv_cache: {layout: contiguous, samples: 4}
      |                                         ^^
      |
      = help: a shared prefix, samples and beams go with the layout `paged`
    ");
    assert_snapshot!(scenario("kv_cache: {layout: paged, block_size: 0}"), @"
    error: kv_cache.block_size: a KV block of `0` tokens; expected a whole number of at least 1
     --> mine.yaml:3:39
      |
    3 | kv_cache: {layout: paged, block_size: 0}
      |                                       ^^
      |
      = help: 16 is usual
    ");
    assert_snapshot!(scenario("kv_cache: {layout: heap}"), @"
    error: unknown KV cache layout `heap`
     --> mine.yaml:3:20
      |
    3 | kv_cache: {layout: heap}
      |                    ^^^^^
      |
      = help: expected one of: contiguous, paged, paged:16
    ");
    assert_snapshot!(scenario("kv_cache: {reserve: twice}"), @"
    error: kv_cache.reserve: unknown reservation `twice`
     --> mine.yaml:3:21
      |
    3 | kv_cache: {reserve: twice}
      |                     ^^^^^^
      |
      = help: expected one of: max:2048, pow2, oracle
    ");
    assert_snapshot!(scenario("kv_cache: {block_size: 16}"), @"
    error: a contiguous KV cache has no blocks of 16 tokens
     --> mine.yaml:3:24
      |
    3 | kv_cache: {block_size: 16}
      |                        ^^^
      |
      = help: a block size goes with the layout `paged`
    ");
    assert_snapshot!(scenario("offload: disk"), @"
    error: unknown part to offload `disk`
     --> mine.yaml:3:10
      |
    3 | offload: disk
      |          ^^^^
      |
      = help: expected one of: none, kv, weights, kv+weights
    ");
    let axis = "sweep chat --hardware h100-sxm --csv-only --set kv_cache.layout=paged --set";
    let axis = |set: &str| desk.refused(&words(&format!("{axis} {set}")));
    assert_snapshot!(axis("kv_cache.block_size=16,0"), @"
    error: kv_cache.block_size: a KV block of `0` tokens; expected a whole number of at least 1
     = help: 16 is usual
    ");
    assert_snapshot!(axis("kv_cache.reserve=pow2"), @"
    error: a paged KV cache reserves nothing, so no `pow2`
     = help: a reservation goes with the layout `contiguous`
    ");
}

#[test]
fn capacity_of_no_memory() {
    let kv = |rest: &str| Desk::new().refused(&words(&format!("kv --model {rest}")));
    assert_snapshot!(kv("llama-2-70b --hardware h100-sxm"), @"
    error: the weights of llama-2-70b leave no KV memory
     = help: --tp, or fewer bits with --quant
    ");
    assert_snapshot!(kv("llama-3-8b --hardware h100-sxm --block-size 0"), @"
    error: --block-size: a KV block of `0` tokens; expected a whole number of at least 1
     = help: 16 is usual
    ");
    assert_snapshot!(kv("llama-3-8b --hardware h100-sxm --max-length 100"), @"
    error: mean lengths of 161 and 338 tokens are beyond the longest sequence of 100
     = help: shorter means, or another --max-length
    ");
    assert_snapshot!(kv("llama-3-8b --hardware h100-sxm --cv -1"), @"
    error: invalid value '-1' for '--cv <CV>': expected a number from 0 to 10

    For more information, try '--help'.
    ");
}
