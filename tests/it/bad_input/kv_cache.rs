//! KV layouts, reservations and offload that do not exist or do not go together.

use crate::support::{Desk, words};
use insta::assert_snapshot;

fn refused(rest: &str) -> String {
    let case = "estimate --model llama-3-8b --batch 1 --prompt 100 --output 28 --hardware";
    Desk::new().refused(&words(&format!("{case} {rest}")))
}

#[test]
fn arguments() {
    assert_snapshot!(refused("h100-sxm --kv-layout paged --block-size 0"), @"");
    assert_snapshot!(refused("h100-sxm --kv-layout paged:0"), @"");
    assert_snapshot!(refused("h100-sxm --kv-layout pages"), @"");
    assert_snapshot!(refused("h100-sxm --kv-reserve min"), @"");
    assert_snapshot!(refused("h100-sxm --kv-reserve max:0"), @"");
    assert_snapshot!(refused("h100-sxm --kv-reserve max:127"), @"");
    assert_snapshot!(refused("h100-sxm --block-size 16"), @"");
    assert_snapshot!(refused("h100-sxm --kv-layout paged --kv-reserve pow2"), @"");
    assert_snapshot!(refused("h100-sxm --offload cache"), @"");
    assert_snapshot!(refused("m1-max --offload kv"), @"");
}

#[test]
fn scenarios_and_axes() {
    let desk = Desk::new();
    let traffic = "traffic: {batch: 1, prompt: 100, output: 28}";
    let mut scenario = |cache: &str| {
        let text = format!("name: mine\nmodel: llama-3-8b\n{cache}\n{traffic}\n");
        desk.write("mine.yaml", text.as_bytes());
        desk.refused(&words("sweep mine.yaml --hardware h100-sxm --csv-only"))
    };
    assert_snapshot!(scenario("kv_cache: {layout: paged, block_size: 0}"), @"");
    assert_snapshot!(scenario("kv_cache: {layout: heap}"), @"");
    assert_snapshot!(scenario("kv_cache: {reserve: twice}"), @"");
    assert_snapshot!(scenario("kv_cache: {block_size: 16}"), @"");
    assert_snapshot!(scenario("offload: disk"), @"");
    let axis = "sweep chat --hardware h100-sxm --csv-only --set kv_cache.layout=paged --set";
    let axis = |set: &str| desk.refused(&words(&format!("{axis} {set}")));
    assert_snapshot!(axis("kv_cache.block_size=16,0"), @"");
    assert_snapshot!(axis("kv_cache.reserve=pow2"), @"");
}

#[test]
fn capacity_of_no_memory() {
    let kv = |rest: &str| Desk::new().refused(&words(&format!("kv --model {rest}")));
    assert_snapshot!(kv("llama-2-70b --hardware h100-sxm"), @"");
    assert_snapshot!(kv("llama-3-8b --hardware h100-sxm --block-size 0"), @"");
    assert_snapshot!(kv("llama-3-8b --hardware h100-sxm --max-length 100"), @"");
    assert_snapshot!(kv("llama-3-8b --hardware h100-sxm --cv -1"), @"");
}
