//! Golden texts of what the checks say.

use crate::hardware::RawHardware;
use crate::yaml::Source;

const GOOD: &str = "\
id: mine
engines:
  matrix: {bf16: 312 TFLOP/s}
memory:
  l2: {capacity: 40 MiB, bandwidth: 5 TB/s}
  dram: {capacity: 80 GB, bandwidth: 2 TB/s}
";

fn refuse(from: &str, to: &str) -> String {
    let text = GOOD.replace(from, to);
    assert_ne!(text, GOOD, "the text to replace exists");
    let source = Source::new("mine.yaml", text);
    let checked = RawHardware::from_source(&source).and_then(|raw| raw.check());
    checked.expect_err("refused").to_string()
}

#[test]
fn the_good_one_loads() {
    let raw = RawHardware::from_source(&Source::new("mine.yaml", GOOD)).expect("parses");
    assert_eq!(raw.check().expect("checks").levels.len(), 2);
}

#[test]
fn an_unknown_field_names_the_closest() {
    insta::assert_snapshot!(refuse("bandwidth: 2", "bandwith: 2"), @r#"
    error: unknown field `bandwith`
     --> mine.yaml:6:27
      |
    6 |   dram: {capacity: 80 GB, bandwith: 2 TB/s}
      |                           ^^^^^^^^^
      |
      = help: did you mean `bandwidth`?
    "#);
}

#[test]
fn a_capacity_with_a_wrong_unit_shows_a_right_one() {
    insta::assert_snapshot!(refuse("80 GB", "80 GBit/s"), @r#"
    error: memory.dram.capacity: unknown unit `GBit/s` in `80 GBit/s`; expected a capacity in bytes, for instance `80 GB` or `256 KiB`
     --> mine.yaml:6:20
      |
    6 |   dram: {capacity: 80 GBit/s, bandwidth: 2 TB/s}
      |                    ^^
    "#);
}

#[test]
fn an_unknown_format_names_the_closest() {
    insta::assert_snapshot!(refuse("bf16", "fp8"), @r#"
    error: engines.matrix: unknown number format `fp8`
     --> mine.yaml:3:17
      |
    3 |   matrix: {fp8: 312 TFLOP/s}
      |                 ^^^
      |
      = help: did you mean `fp8-e4m3` or `fp8-e5m2`?
    "#);
}

#[test]
fn a_profile_needs_a_matrix_peak() {
    insta::assert_snapshot!(refuse("{bf16: 312 TFLOP/s}", "{}"), @r#"
    error: mine has no matrix peak
     --> mine.yaml:1:5
      |
    1 | id: mine
      |     ^^^^
      |
      = help: add one, for instance `engines: {matrix: {bf16: 312 TFLOP/s}}`
    "#);
}

#[test]
fn a_profile_needs_dram_figures() {
    insta::assert_snapshot!(refuse(", bandwidth: 2 TB/s", ""), @r#"
    error: mine has no DRAM bandwidth
     --> mine.yaml:1:5
      |
    1 | id: mine
      |     ^^^^
      |
      = help: add it, for instance `memory: {dram: {bandwidth: 2039 GB/s}}`
    "#);
}

#[test]
fn a_key_stands_once() {
    let shown = refuse("  l2:", "  dram:");
    assert!(shown.contains("duplicate") && shown.contains("mine.yaml:6:3\n"), "{shown}");
}

#[test]
fn bandwidth_does_not_rise_outward() {
    insta::assert_snapshot!(refuse("2 TB/s", "8 TB/s"), @r#"
    error: aggregate bandwidth rises outward: dram 8.00 TB/s is above l2 5.00 TB/s, which lies inside it
     --> mine.yaml:6:38
      |
    6 |   dram: {capacity: 80 GB, bandwidth: 8 TB/s}
      |                                      ^
      |
      = help: a bandwidth is the sum over all instances; in a what-if, raise the inner level too
    "#);
}

#[test]
fn capacity_does_not_fall_outward() {
    insta::assert_snapshot!(refuse("40 MiB", "400 GiB"), @r#"
    error: capacity falls outward: l2 429 GB is above dram 80.0 GB, which lies outside it
     --> mine.yaml:5:18
      |
    5 |   l2: {capacity: 400 GiB, bandwidth: 5 TB/s}
      |                  ^^^
      |
      = help: levels are listed innermost first
    "#);
}

#[test]
fn zero_negative_and_factor_without_base_are_refused() {
    insta::assert_snapshot!(refuse("2 TB/s", "0 TB/s"), @r#"
    error: memory.dram.bandwidth is zero
     --> mine.yaml:6:38
      |
    6 |   dram: {capacity: 80 GB, bandwidth: 0 TB/s}
      |                                      ^
      |
      = help: leave an unknown figure out
    "#);
    insta::assert_snapshot!(refuse("2 TB/s", "-2 TB/s"), @r#"
    error: memory.dram.bandwidth: `-2 TB/s` is negative or not finite; expected a bandwidth, for instance `3.35 TB/s`
     --> mine.yaml:6:38
      |
    6 |   dram: {capacity: 80 GB, bandwidth: -2 TB/s}
      |                                      ^^
    "#);
    insta::assert_snapshot!(refuse("2 TB/s", "x2"), @r#"
    error: memory.dram.bandwidth: `x2` has nothing to multiply
     --> mine.yaml:6:38
      |
    6 |   dram: {capacity: 80 GB, bandwidth: x2}
      |                                      ^^^
      |
      = help: factors change the figure of a profile below
    "#);
    insta::assert_snapshot!(refuse("2 TB/s", "{basis: datasheet}"), @r#"
    error: missing field `value`
     --> mine.yaml:6:39
      |
    6 |   dram: {capacity: 80 GB, bandwidth: {basis: datasheet}}
      |                                       ^^^^^^
    "#);
    insta::assert_snapshot!(refuse("2 TB/s", "{value: 2 TB/s, basis: guess}"), @r#"
    error: memory.dram.bandwidth.basis: unknown value `guess`
     --> mine.yaml:6:61
      |
    6 |   dram: {capacity: 80 GB, bandwidth: {value: 2 TB/s, basis: guess}}
      |                                                             ^^^^^^^
      |
      = help: expected one of: datasheet, measured, calibrated, derived, assumed
    "#);
    insta::assert_snapshot!(refuse("id: mine", "id: Mine"), @r#"
    error: `Mine` is not an id
     --> mine.yaml:1:5
      |
    1 | id: Mine
      |     ^^^^
      |
      = help: an id has up to 64 lower-case letters, digits and hyphens
    "#);
}

#[test]
fn a_link_needs_a_bandwidth_and_an_efficiency_stays_below_one() {
    let shown = refuse("engines:", "links: {scaleup: {domain: 8}}\nengines:");
    assert!(shown.contains("links.scaleup.bandwidth is missing"), "{shown}");
    let shown = refuse("engines:", "efficiency: {matrix: 1.2}\nengines:");
    assert!(shown.contains("above 1") && shown.contains("mine.yaml:2:22\n"), "{shown}");
    let shown = refuse("engines:", "efficiency: {memory: {l3: 0.9}}\nengines:");
    assert!(shown.contains("unknown name in efficiency.memory `l3`"), "{shown}");
    let shown = refuse("2 TB/s", "xfast");
    assert!(shown.contains("`xfast` is not a factor above zero"), "{shown}");
}

#[test]
fn assumed_required_figures_and_unread_links_are_warned_of() {
    let text = format!("{GOOD}links: {{token-ring: {{bandwidth: 16 Mbit/s}}}}\n");
    let raw = RawHardware::from_source(&Source::new("mine.yaml", text)).expect("parses");
    let warnings = raw.check().expect("checks").warnings();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert_eq!(warnings[0], "engines.matrix.bf16 is assumed: set in mine.yaml");
    assert_eq!(warnings[3], "links.token-ring is not read by the model");
}
