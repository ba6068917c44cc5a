//! Axes and scenario files of sweeps.

use crate::support::{Desk, words};
use insta::assert_snapshot;

fn set(setting: &str) -> String {
    let words = words("sweep chat --hardware a100-sxm-80gb --csv-only --set");
    Desk::new().refused(&[&words[..], &[setting]].concat())
}

#[test]
fn axes_have_a_path_and_values() {
    assert_snapshot!(set("trafic.batch=1"), @"
    error: unknown path `trafic.batch`
     = help: did you mean `traffic.batch` or `traffic.output` or `traffic.prompt`?
    ");
    assert_snapshot!(set("traffic.batch=one"), @"
    error: --set traffic.batch=one: traffic.batch is `one`; expected a whole number of at least 1
     = help: for instance traffic.batch=1,8,64
    ");
    assert_snapshot!(set("traffic.batch=1,0"), @"
    error: --set traffic.batch=1,0: traffic.batch is `0`; expected a whole number of at least 1
     = help: for instance traffic.batch=1,8,64
    ");
    assert_snapshot!(set("traffic.batch=,"), @"
    error: --set traffic.batch=,: `traffic.batch` has no value to sweep over
     = help: for instance traffic.batch=1,8,64
    ");
    assert_snapshot!(set("traffic.batch"), @"
    error: --set traffic.batch: expected path=value
     = help: for instance --set traffic.batch=1,8,64
    ");
    assert_snapshot!(set("traffic.batch=9..1"), @"
    error: `9..1` is not a range of at most 1000000 values
     = help: for instance 1..64, or 8..64:8
    ");
    assert_snapshot!(set("speculative.acceptance=0.5,1.5"), @"
    error: acceptance 1.5 is not within 0 to 1
     = help: for instance 0.8, or a rate for each position: 0.8,0.7,0.6,0.5
    ");
    assert_snapshot!(set("quant=w9a9"), @"
    error: unknown quantization scheme `w9a9`: it does not start with a format or w<bits>a<bits>
     = help: expected one of: 16bit, bf16, fp16, fp32, tf32, fp8, fp8-e5m2, w8a8, w8a8-static, w8a16, w4a16, w4a16-g128, ...
    ");
    assert_snapshot!(set("attention=paged"), @"
    error: unknown attention `paged`
     = help: expected one of: flash, naive
    ");
    assert_snapshot!(set("hardware.memory.hbm.bandwidth=x2"), @"
    error: unknown memory level `hbm`
     --> --set hardware.memory.hbm.bandwidth=x2:1:8
      |
    1 | memory.hbm.bandwidth=x2
      |        ^^^^^^^^^^^^^^^^
      |
      = help: expected one of: registers, l1, l2, dram
    ");
    assert_snapshot!(set("hardware.memory.dram.bandwidth=x1,x0"), @"
    error: memory.dram.bandwidth: `x0` is not a factor above zero
     --> --set hardware.memory.dram.bandwidth=x0:1:23
      |
    1 | memory.dram.bandwidth=x0
      |                       ^^
    ");
    for nonsense in ["-1", "1e3", "0x10", "null", "~", "1}", "18446744073709551616", "1..2000000"] {
        set(&format!("traffic.batch={nonsense}"));
    }
}

#[test]
fn endless_sweeps_and_crowds_of_threads_are_refused() {
    let hardware = "x1,".repeat(400);
    let wide = format!("hardware.memory.dram.bandwidth={hardware}");
    let twice = format!("hardware.power.tdp={hardware}");
    let words = ["sweep", "--set", &wide, "--set", &twice];
    assert_snapshot!(Desk::new().refused(&words), @"
    error: 160000 combinations of settings other than traffic
     = help: the limit is 100000; traffic may vary more
    ");
    let words = ["sweep", "--jobs", "100000"];
    assert_snapshot!(Desk::new().refused(&words), @"
    error: invalid value '100000' for '--jobs <JOBS>': expected a number of threads up to 512

    For more information, try '--help'.
    ");
}

#[test]
fn names_that_clash_or_that_no_device_has() {
    assert_snapshot!(Desk::new().refused(&words("sweep chat chat")), @"
    error: two scenarios are named `chat`
     = help: each has a report folder of its name; give one another `name`
    ");
    assert_snapshot!(Desk::new().refused(&words("sweep chat --hardware t4 --price spott")), @"
    error: no device of the sweep has an hourly price `spott`
     = help: `cosim hardware show` lists prices
    ");
}

const SCENARIO: &str = "model: gpt2\ntraffic: {batch: 8, prompt: 100, output: 10}\n";

/// The message for a scenario file with a line more.
fn scenario(more: &str) -> String {
    let desk = Desk::with(&[("mine.yaml", &format!("{SCENARIO}{more}\n"))]);
    desk.refused(&words("sweep mine.yaml --hardware t4 --csv-only"))
}

#[test]
fn scenario_files_show_the_place() {
    assert_snapshot!(scenario("sweep: {traffic.bach: [1, 2]}"), @"
    error: unknown path `traffic.bach`
     --> mine.yaml:3:23
      |
    3 | sweep: {traffic.bach: [1, 2]}
      |                       ^^^
      |
      = help: did you mean `traffic.batch` or `traffic.output` or `traffic.prompt`?
    ");
    assert_snapshot!(scenario("sweep: {traffic.batch: []}"), @"
    error: mine.yaml: `traffic.batch` has no value to sweep over
     --> mine.yaml:3:24
      |
    3 | sweep: {traffic.batch: []}
      |                        ^^^
      |
      = help: for instance traffic.batch=1,8,64
    ");
    assert_snapshot!(scenario("sweep: {traffic.batch: [1, many]}"), @"
    error: mine.yaml: traffic.batch is `many`; expected a whole number of at least 1
     --> mine.yaml:3:24
      |
    3 | sweep: {traffic.batch: [1, many]}
      |                        ^^^
      |
      = help: for instance traffic.batch=1,8,64
    ");
    assert_snapshot!(scenario("sweep: {traffic.batch: 3}"), @"
    error: sweep.traffic.batch: expected a list, such as `[1, 8, 64]`
     --> mine.yaml:3:24
      |
    3 | sweep: {traffic.batch: 3}
      |                        ^^
    ");
    assert_snapshot!(scenario("sweep: {traffic.batch: [null]}"), @"
    error: sweep.traffic.batch[0]: expected a value, found none
     --> mine.yaml:3:25
      |
    3 | sweep: {traffic.batch: [null]}
      |                         ^^^^^^
    ");
    assert_snapshot!(scenario("sweep: {attention: [paged]}"), @"
    error: unknown attention `paged`
     --> mine.yaml:3:20
      |
    3 | sweep: {attention: [paged]}
      |                    ^^^^^^^^
      |
      = help: expected one of: flash, naive
    ");
    assert_snapshot!(scenario("speculative: eagle"), @r#"
    error: speculative: invalid value: string "eagle", expected `none`, or {draft, gamma, acceptance}
     --> mine.yaml:3:1
      |
    3 | speculative: eagle
      | ^^^^^^^^^^^^
    "#);
    assert_snapshot!(scenario("speculative: {draft: gpt2, gamma: 0, acceptance: 0.8}"), @"
    error: gamma is `0`; expected 1 to 256 tokens, or auto
     --> mine.yaml:3:35
      |
    3 | speculative: {draft: gpt2, gamma: 0, acceptance: 0.8}
      |                                   ^^
      |
      = help: without speculation, leave out the draft
    ");
    assert_snapshot!(scenario("speculative: {draft: gpt2, gamma: 2, acceptance: 1.2}"), @"
    error: acceptance 1.2 is not within 0 to 1
     --> mine.yaml:3:50
      |
    3 | speculative: {draft: gpt2, gamma: 2, acceptance: 1.2}
      |                                                  ^^^^
      |
      = help: for instance 0.8, or a rate for each position: 0.8,0.7,0.6,0.5
    ");
    assert_snapshot!(scenario("speculative: {draft: gpt2, acceptance: -0.1}"), @"
    error: acceptance -0.1 is not within 0 to 1
     --> mine.yaml:3:40
      |
    3 | speculative: {draft: gpt2, acceptance: -0.1}
      |                                        ^^^^^
      |
      = help: for instance 0.8, or a rate for each position: 0.8,0.7,0.6,0.5
    ");
    assert_snapshot!(scenario("speculative: {draft: llama-2-7b, acceptance: 0.8}"), @"
    error: draft llama-2-7b has a vocabulary of 32000 tokens, target gpt2 one of 50257
     --> mine.yaml:3:22
      |
    3 | speculative: {draft: llama-2-7b, acceptance: 0.8}
      |                      ^^^^^^^^^^^
      |
      = help: a draft proposes tokens of the target: both need the same vocabulary
    ");
    assert_snapshot!(scenario("model: gpt2"), @"
    error: duplicate key `model`
     --> mine.yaml:3:1
      |
    3 | model: gpt2
      | ^^^^^^
      |
      = help: a key stands once in a mapping
    ");
}

#[test]
fn a_scenario_name_does_not_lead_out_of_the_reports() {
    assert_snapshot!(scenario("name: ../../outside"), @"
    error: `../../outside` does not name a scenario
     --> mine.yaml:3:7
      |
    3 | name: ../../outside
      |       ^^^^^^^^^^^^^
      |
      = help: up to 64 letters, digits, dashes, underscores, dots or spaces, as in `name: chat`
    ");
    for name in ["/etc", "..", ".", "\"\"", "a/b", "\"a\\\\b\"", &"n".repeat(300)] {
        scenario(&format!("name: {name}"));
    }
}
