//! Words of the command line.

use crate::support::{Desk, words};
use insta::assert_snapshot;

fn refused(line: &str) -> String {
    Desk::new().refused(&words(line))
}

#[test]
fn unknown_names_offer_the_closest() {
    assert_snapshot!(refused("estimate --model lama-2-7b --hardware t4 --batch 1 --prompt 8 --output 8"), @"
    error: unknown model `lama-2-7b`
     = help: did you mean `llama-2-7b` or `llama-2-70b` or `llama-2-13b`?
    ");
    assert_snapshot!(refused("estimate --model gpt2 --hardware h100-sxn --batch 1 --prompt 8 --output 8"), @"
    error: unknown hardware `h100-sxn`
     = help: did you mean `h100-sxm` or `h200-sxm` or `h800-sxm`?
    ");
    assert_snapshot!(refused("estimate --model gpt2 --hardware t4 --quant w4a61-g128 --batch 1 --prompt 8 --output 8"), @"
    error: --quant: unknown quantization scheme `w4a61-g128`: it does not start with a format or w<bits>a<bits>
     = help: did you mean `w4a16-g128` or `w4a16-g128-zp` or `w4a16-g128-kv8`?
    ");
    assert_snapshot!(refused("estimate --model gpt2 --hardware t4 --quant q4_k_x --batch 1 --prompt 8 --output 8"), @"
    error: --quant: unknown quantization scheme `q4_k_x`: there is no such GGUF mix
     = help: did you mean `q4_k_m` or `q4_k_s` or `q4_0`?
    ");
    assert_snapshot!(refused("sweep chatt"), @"
    error: unknown scenario `chatt`
     = help: did you mean `chat`?
    ");
    assert_snapshot!(refused("hardware show 🦙"), @"
    error: unknown hardware `🦙`
     = help: expected one of: a10, a100-pcie-40gb, a100-pcie-80gb, a100-sxm-40gb, a100-sxm-80gb, a30, a40, arc-b580, arc-pro-b60, b200-sxm, b300-sxm, gaudi2 and 48 more
    ");
    assert_snapshot!(refused("explain --model gpt2 --hardware t4 --batch 1 --prompt 8 --output 8 --operator attn.flask"), @"
    error: unknown operator `attn.flask`
     = help: did you mean `attn.flash` or `attn.qkv` or `attn.out`?
    ");
    assert_snapshot!(refused("estimate --model gpt2 --hardware t4 --batch 1 --prompt 8 --output 8 --price spott"), @"
    error: t4 has no hourly price `spott`; it has: none
     = help: there is none to choose from
    ");
}

#[test]
fn what_ifs_fit_the_model() {
    let estimate = |rest: &str| {
        let start = "estimate --model llama-3-8b --hardware t4 --batch 1 --prompt 8 --output 8";
        refused(&format!("{start} {rest}"))
    };
    assert_snapshot!(estimate("--heads gqa-5"), @"
    error: 5 groups do not divide the 32 query heads of llama-3-8b
     = help: it takes 1, 2, 4, 8, 16, 32
    ");
    assert_snapshot!(estimate("--heads gqa"), @"
    error: --heads: unknown form of heads `gqa`
     = help: did you mean `gqa-8`?
    ");
    assert_snapshot!(estimate("--window 0"), @"
    error: --window: window is `0`; expected tokens, or `full`
     = help: for instance 4096
    ");
}

#[test]
fn an_api_price_is_for_whole_requests() {
    let line = "estimate --model gpt2 --hardware t4 --batch 1 --phase decode --context 8";
    assert_snapshot!(refused(&format!("{line} --api-price 0.03,0.06")), @"
    error: --api-price compares whole requests, not a phase
     = help: give --prompt and --output
    ");
    let line = "--model gpt2 --hardware t4 --batch 1 --prompt 8 --output 8 --api-price 0.03,0.06";
    for command in ["explain", "roofline -o x.svg"] {
        let shown = refused(&format!("{command} {line}"));
        assert!(shown.contains("unexpected argument '--api-price'"), "{shown}");
    }
}

#[test]
fn counts_are_whole_and_at_least_one() {
    assert_snapshot!(refused("estimate --model gpt2 --hardware t4 --batch 0 --prompt 8 --output 8"), @"
    error: invalid value '0' for '--batch <BATCH>': expected at least 1

    For more information, try '--help'.
    ");
    assert_snapshot!(refused("estimate --model gpt2 --hardware t4 --batch -4 --prompt 8 --output 8"), @"
    error: invalid value '-4' for '--batch <BATCH>': expected a whole number of at least 1

    For more information, try '--help'.
    ");
    assert_snapshot!(refused("estimate --model gpt2 --hardware t4 --batch 1 --phase decode --context 1e12"), @"
    error: invalid value '1e12' for '--context <CONTEXT>': expected a whole number of at least 1

    For more information, try '--help'.
    ");
    assert_snapshot!(refused("estimate --model gpt2 --hardware t4 --batch 1 --phase decode"), @"
    error: the following required arguments were not provided:
      --context <CONTEXT>

    Usage: cosim estimate --model <MODEL> --hardware <HARDWARE> --batch <BATCH> --context <CONTEXT> <--prompt <PROMPT>|--phase <PHASE>>

    For more information, try '--help'.
    ");
}

#[test]
fn counts_that_overflow_are_refused() {
    let most = u64::MAX;
    let case = "estimate --model gpt2 --hardware t4 --allow-oom --batch";
    for rest in [
        format!("{most} --prompt 8 --output 8"),
        format!("1 --prompt {most} --output {most}"),
        format!("1 --prompt {most} --output 1"),
        format!("1 --prompt 1 --output {most}"),
        format!("1 --phase decode --context {most}"),
    ] {
        let shown = refused(&format!("{case} {rest}"));
        assert!(shown.contains("is above the limit of 4294967296"), "{shown}");
    }
    let shown = refused(&format!("{case} {most}0 --prompt 8 --output 8"));
    assert!(shown.contains("expected a whole number"), "{shown}");
}

#[test]
fn a_device_without_the_engine_says_what_it_has() {
    assert_snapshot!(refused("estimate --model gpt2 --hardware a100-sxm-80gb --quant fp8 --batch 1 --prompt 8 --output 8"), @"
    error: a100-sxm-80gb has no fp8-e4m3 matrix engine
     = help: it has tf32, bf16, fp16, int8, int4; the closest scheme is `wfp8a16`
    ");
}

#[test]
fn what_does_not_fit_is_not_explained() {
    assert_snapshot!(refused("explain --model llama-2-7b --hardware a100-sxm-80gb --batch 72 --phase decode --context 2048"), @"
    error: 90.8 GB do not fit the 85.9 GB of a100-sxm-80gb
     = help: --allow-oom explains it all the same; the largest batch is 67
    ");
    let drawn = "roofline --model llama-2-7b --hardware a100-sxm-80gb --batch 72 --phase decode --context 2048 -o x.svg";
    assert_snapshot!(refused(drawn), @"
    error: 90.8 GB do not fit a100-sxm-80gb
     = help: --allow-oom draws it all the same; the largest batch is 67
    ");
}

#[test]
fn settings_name_a_field_and_change_it() {
    let set = |setting: &str| {
        let line =
            "estimate --model gpt2 --hardware a100-sxm-80gb --batch 1 --prompt 8 --output 8 --set";
        Desk::new().refused(&[&words(line)[..], &[setting]].concat())
    };
    assert_snapshot!(set("hardware.memory.hbm.bandwidth=x2"), @"
    error: unknown memory level `hbm`
     --> --set hardware.memory.hbm.bandwidth=x2:1:8
      |
    1 | memory.hbm.bandwidth=x2
      |        ^^^^^^^^^^^^^^^^
      |
      = help: expected one of: registers, l1, l2, dram
    ");
    assert_snapshot!(set("hardware.memory.dram.bandwith=x2"), @"
    error: unknown field `bandwith`
     --> --set hardware.memory.dram.bandwith=x2:1:13
      |
    1 | memory.dram.bandwith=x2
      |             ^^^^^^^^^^^
      |
      = help: did you mean `bandwidth`?
    ");
    assert_snapshot!(set("traffic.batch=3"), @"
    error: --set traffic.batch=3: expected hardware.path=value
     = help: for instance --set hardware.memory.dram.bandwidth=x2; other paths belong to `cosim sweep`
    ");
    assert_snapshot!(set("hardware.memory.dram.bandwidth="), @"
    error: `memory.dram.bandwidth=` changes no figure
     --> --set hardware.memory.dram.bandwidth=:1:23
      |
    1 | memory.dram.bandwidth=
      |                       ^
      |
      = help: write it as memory.dram.bandwidth=x2
    ");
    assert_snapshot!(set("hardware.memory.dram.bandwidth=x1e300"), @"
    error: memory.dram.bandwidth is inf in SI units, beyond 1e-24 to 1e24
     --> --set hardware.memory.dram.bandwidth=x1e300:1:23
      |
    1 | memory.dram.bandwidth=x1e300
      |                       ^^^^^^
      |
      = help: is a prefix, an exponent or a factor wrong?
    ");
    for nonsense in ["x0", "x-1", "xNaN", "x", "xinf", "x1e400", "null", "~", "*a", "-3 GB/s"] {
        let shown = set(&format!("hardware.memory.dram.bandwidth={nonsense}"));
        assert!(shown.contains("--> --set hardware.memory.dram.bandwidth="), "{shown}");
    }
    for nonsense in ["hardware.extends=t4", "hardware.id=x", "hardware.memory={}", "hardware.=x2"] {
        set(nonsense);
    }
}

#[test]
fn very_long_words_are_cut() {
    let long = "z".repeat(100_000);
    let case = words("--batch 1 --prompt 8 --output 8");
    let on = |model: &str, hardware: &str, more: [&str; 2]| {
        let words = [&["estimate", "--model", model, "--hardware", hardware], &case[..], &more];
        Desk::new().refused(&words.concat())
    };
    on(&long, "t4", ["--quant", "16bit"]);
    on("gpt2", &long, ["--quant", "16bit"]);
    on("gpt2", "t4", ["--quant", &long]);
    on("gpt2", "t4", ["--quant", &format!("w4a16-g{}", "9".repeat(100_000))]);
    on("gpt2", "t4", ["--price", &long]);
    on("gpt2", "t4", ["--set", &long]);
    on("gpt2", "t4", ["--set", &format!("hardware.memory.dram.bandwidth={long}")]);
    on("gpt2", "t4", ["--set", &format!("hardware.{long}=x2")]);
    Desk::new().refused(&["sweep", &long]);
    Desk::new().refused(&["sweep", "--set", &format!("{long}=1")]);
    Desk::new().refused(&["sweep", "--set", &format!("quant={long}")]);
}
