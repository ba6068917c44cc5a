//! Words of speculative decoding.

use crate::support::{Desk, words};
use insta::assert_snapshot;

fn refused(rest: &str) -> String {
    let case = "estimate --model llama-2-7b --hardware h100-sxm --batch 1 --prompt 8 --output 8";
    Desk::new().refused(&words(&format!("{case} {rest}")))
}

#[test]
fn drafts_gammas_and_rates_that_cannot_be() {
    assert_snapshot!(refused("--draft gpt2 --acceptance 0.8"), @"
    error: draft gpt2 has a vocabulary of 50257 tokens, target llama-2-7b one of 32000
     = help: a draft proposes tokens of the target: both need the same vocabulary
    ");
    assert_snapshot!(refused("--speculate prompt-lookup --gamma 0 --acceptance 0.8"), @"
    error: gamma is `0`; expected 1 to 256 tokens, or auto
     = help: without speculation, leave out the draft
    ");
    assert_snapshot!(refused("--speculate prompt-lookup --acceptance 1.2"), @"
    error: acceptance 1.2 is not within 0 to 1
     = help: for instance 0.8, or a rate for each position: 0.8,0.7,0.6,0.5
    ");
    assert_snapshot!(refused("--speculate prompt-lookup"), @"
    error: speculation with prompt-lookup has no acceptance rate
     = help: for instance --acceptance 0.8
    ");
    assert_snapshot!(refused("--speculate medusa:3 --gamma 4 --acceptance 0.8"), @"
    error: gamma 4 is beyond the 3 tokens that medusa:3 drafts
     = help: at most 3, or auto
    ");
    assert_snapshot!(refused("--acceptance 0.8"), @"
    error: --gamma, --acceptance and --surface need something that drafts
     = help: --draft MODEL, or --speculate HOW
    ");
    assert_snapshot!(refused("--surface x.svg"), @"
    error: --gamma, --acceptance and --surface need something that drafts
     = help: --draft MODEL, or --speculate HOW
    ");
    let drafted = "--speculate prompt-lookup --acceptance 0.8 --surface";
    assert_snapshot!(refused(&format!("{drafted} x.png")), @"
    error: --surface x.png: unknown kind of file
     = help: a name that ends in .svg, .csv or .json
    ");
    assert_snapshot!(refused(&format!("{drafted} x.svg --set hardware.memory.dram.capacity=1GB")), @"
    error: no surface: the request does not fit the memory
     = help: --allow-oom draws it all the same
    ");
}
