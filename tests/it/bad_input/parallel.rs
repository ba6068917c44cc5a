//! Degrees of parallelism that a model or a device does not go with.

use crate::support::{Desk, words};
use insta::assert_snapshot;

fn refused(rest: &str) -> String {
    let case = "estimate --batch 1 --prompt 8 --output 8";
    Desk::new().refused(&words(&format!("{case} {rest}")))
}

#[test]
fn degrees_that_do_not_divide() {
    assert_snapshot!(refused("--model llama-3-8b --hardware h100-sxm --tp 3"), @"
    error: tensor parallelism over 3 devices does not divide the 32 query and 8 key-value heads of llama-3-8b
     = help: one of 1, 2, 4, 8, 16, 32
    ");
    assert_snapshot!(refused("--model llama-3-8b --hardware h100-sxm --pp 33"), @"
    error: 33 pipeline stages are more than the 32 layers of llama-3-8b
     = help: a stage holds at least one layer
    ");
    assert_snapshot!(refused("--model llama-3-8b --hardware h100-sxm --ep 2 --tp 2"), @"
    error: expert parallelism over 2: llama-3-8b has no experts
     = help: it is for mixtures of experts, mixtral-8x7b for instance
    ");
    assert_snapshot!(refused("--model mixtral-8x7b --hardware h100-sxm --tp 16 --ep 16"), @"
    error: expert parallelism over 16 groups is beyond the 8 experts of mixtral-8x7b
     = help: a group holds at least one expert
    ");
    assert_snapshot!(refused("--model mixtral-8x7b --hardware h100-sxm --tp 2 --ep 4"), @"
    error: expert parallelism over 4 groups must divide the 8 experts of mixtral-8x7b, and go over 2 ranks of a tensor-parallel group, then over replicas, of which there are 1
     = help: one of 1, 2
    ");
    let over_replicas = "--model mixtral-8x7b --hardware h100-sxm --tp 2 --dp 6 --ep 8";
    assert_snapshot!(refused(over_replicas), @"
    error: expert parallelism over 8 groups must divide the 8 experts of mixtral-8x7b, and go over 2 ranks of a tensor-parallel group, then over replicas, of which there are 6
     = help: one of 1, 2, 4
    ");
    assert_snapshot!(refused("--model llama-3-8b --hardware h100-sxm --sp"), @"
    error: sequence parallelism shares out what tensor parallelism leaves whole
     = help: it needs tp above 1
    ");
    assert_snapshot!(refused("--model llama-3-8b --hardware h100-sxm --tp 0"), @"
    error: invalid value '0' for '--tp <N>': the degree is `0`; expected a whole number from 1 to 65536

    For more information, try '--help'.
    ");
    assert_snapshot!(refused("--model llama-3-8b --hardware h100-sxm --micro-batches 0"), @"
    error: invalid value '0' for '--micro-batches <N>': expected at least 1

    For more information, try '--help'.
    ");
}

#[test]
fn positions_that_are_not_dealt() {
    let cut = |model: &str| refused(&format!("--model {model} --hardware h100-sxm --cp 2"));
    assert_snapshot!(cut("deepseek-v2-lite"), @"
    error: context parallelism over 2 groups does not deal out the latent cache of deepseek-v2-lite
     = help: --dp keeps a sequence in one place: its latent cache is small
    ");
    assert_snapshot!(cut("t5-large"), @"
    error: context parallelism over 2 groups does not deal out the cross-attention of t5-large
     = help: --tp, --pp and --dp cut a model with an encoder
    ");
    assert_snapshot!(cut("chinchilla-70b"), @"
    error: context parallelism over 2 groups does not deal out the keys of positions of chinchilla-70b
     = help: --tp, --pp and --dp cut such a model
    ");
    assert_snapshot!(refused("--model llama-3-8b --hardware h100-sxm --cp 0"), @"
    error: invalid value '0' for '--cp <N>': the degree is `0`; expected a whole number from 1 to 65536

    For more information, try '--help'.
    ");
    assert_snapshot!(cut("llama-3-8b --devices 3 --optimize latency"), @"
    error: --cp 2 does not divide 3 devices
     = help: every plan shares positions among so many
    ");
}

#[test]
fn devices_without_a_link() {
    assert_snapshot!(refused("--model llama-3-8b --hardware m1-max --tp 2"), @"
    error: m1-max has no `scaleup` link in its profile, which 2 devices exchange over
     = help: give its bandwidth under `links:` in a profile that extends this one
    ");
    assert_snapshot!(refused("--model llama-3-8b --hardware m1-max --pp 2"), @"
    error: m1-max has no `scaleup` link in its profile, which 2 devices exchange over
     = help: give its bandwidth under `links:` in a profile that extends this one
    ");
}

#[test]
fn a_draft_over_a_pipeline() {
    let rest =
        "--model llama-3-8b --hardware h100-sxm --pp 2 --speculate medusa:4 --acceptance 0.5";
    assert_snapshot!(refused(rest), @"
    error: heads that draft over the stages of a pipeline are not modelled
     = help: use --tp and --dp with them, or a draft model, which is cut as its target
    ");
}

#[test]
fn topologies_and_degrees_in_files() {
    let desk = Desk::new();
    let profile =
        "extends: h100-sxm\nid: mine\nname: Mine\nlinks:\n  scaleup:\n    topology: star\n";
    desk.write("mine.yaml", profile.as_bytes());
    assert_snapshot!(desk.refused(&words("hardware show mine.yaml")), @"
    error: links.scaleup.topology: `star` is not a topology
     --> mine.yaml:6:15
      |
    6 |     topology: star
      |               ^^^^
      |
      = help: one of switch, pcie, mesh, ring, torus 16x16, torus 4x4x4
    ");
    let scenario =
        "model: llama-3-8b\ntraffic: {batch: 1, prompt: 8, output: 8}\nparallel:\n  tp: 0\n";
    desk.write("s.yaml", scenario.as_bytes());
    assert_snapshot!(desk.refused(&words("sweep s.yaml --hardware h100-sxm")), @"
    error: parallel.tp is `0`; expected a whole number from 1 to 65536
     --> s.yaml:4:7
      |
    4 |   tp: 0
      |       ^
      |
      = help: 1 is one device
    ");
    desk.write("t.yaml", scenario.replace("\n  tp: 0", " sideways").as_bytes());
    assert_snapshot!(desk.refused(&words("sweep t.yaml --hardware h100-sxm")), @r#"
    error: parallel: invalid value: string "sideways", expected `none`, or {tp, cp, pp, ep, dp, sp, micro_batches}
     --> t.yaml:3:1
      |
    3 | parallel: sideways
      | ^^^^^^^^^
    "#);
    desk.write("u.yaml", scenario.replace("tp: 0", "tq: 2").as_bytes());
    assert_snapshot!(desk.refused(&words("sweep u.yaml --hardware h100-sxm")), @"
    error: unknown field `tq`
     --> u.yaml:4:3
      |
    4 |   tq: 2
      |   ^^^
      |
      = help: expected one of: tp, cp, pp, ep, dp, sp, micro_batches
    ");
}

#[test]
fn searches_that_find_nothing_or_ask_nothing() {
    let case = "--model llama-3-70b --hardware h100-sxm";
    assert_snapshot!(refused(&format!("{case} --devices 2 --optimize latency --slo tpot=1ms")), @"
    error: no plan for 2 devices fits and keeps the limits
     = help: dp2: out of memory; pp2: TPOT above 1.00 ms; tp2: TPOT above 1.00 ms
    ");
    assert_snapshot!(refused(&format!("{case} --devices 2 --optimize latency --slo tpot=fast")), @"
    error: --slo tpot: `fast` is not a time above zero
     = help: for instance --slo ttft=2s,tpot=50ms
    ");
    assert_snapshot!(refused(&format!("{case} --devices 2 --optimize latency --slo speed=1s")), @"
    error: unknown limit `speed`
     = help: expected one of: ttft, tpot
    ");
    assert_snapshot!(refused(&format!("{case} --devices 2 --tp 2 --optimize latency")), @"
    error: the argument '--devices <N>' cannot be used with '--tp <N>'

    Usage: cosim estimate --model <MODEL> --hardware <HARDWARE> --batch <BATCH> --output <OUTPUT> --devices <N> --optimize <OPTIMIZE> <--prompt <PROMPT>|--phase <PHASE>>

    For more information, try '--help'.
    ");
    assert_snapshot!(refused(&format!("{case} --devices 2")), @"
    error: the following required arguments were not provided:
      --optimize <OPTIMIZE>

    Usage: cosim estimate --model <MODEL> --hardware <HARDWARE> --batch <BATCH> --output <OUTPUT> --devices <N> --optimize <OPTIMIZE> <--prompt <PROMPT>|--phase <PHASE>>

    For more information, try '--help'.
    ");
    assert_snapshot!(refused(&format!("{case} --devices 100000 --optimize latency")), @"
    error: invalid value '100000' for '--devices <N>': expected at most 4096

    For more information, try '--help'.
    ");
}
