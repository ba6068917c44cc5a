//! Hardware profiles.

use crate::support::{Desk, words};
use insta::assert_snapshot;

const PROFILE: &str = "\
id: mine
engines: {matrix: {bf16: 100 TFLOP/s}}
memory:
  dram: {bandwidth: 2 TB/s, capacity: 80 GB}
";

/// The message for the profile with one text replaced.
fn refused(from: &str, to: &str) -> String {
    assert!(PROFILE.contains(from));
    let desk = Desk::with(&[("mine.yaml", &PROFILE.replace(from, to))]);
    desk.refused(&words("hardware check mine.yaml"))
}

#[test]
fn quantities_have_the_unit_of_their_field() {
    assert_snapshot!(refused("80 GB", "80 GBit/s"), @"
    error: memory.dram.capacity: unknown unit `GBit/s` in `80 GBit/s`; expected a capacity in bytes, for instance `80 GB` or `256 KiB`
     --> mine.yaml:4:39
      |
    4 |   dram: {bandwidth: 2 TB/s, capacity: 80 GBit/s}
      |                                       ^^
    ");
    assert_snapshot!(refused("80 GB", "80 Gbit/s"), @"
    error: memory.dram.capacity: `80 Gbit/s` is a bandwidth; expected a capacity in bytes, for instance `80 GB` or `256 KiB`
     --> mine.yaml:4:39
      |
    4 |   dram: {bandwidth: 2 TB/s, capacity: 80 Gbit/s}
      |                                       ^^
    ");
    assert_snapshot!(refused("80 GB", "80"), @"
    error: memory.dram.capacity: `80` has no unit; expected a capacity in bytes, for instance `80 GB` or `256 KiB`
     --> mine.yaml:4:39
      |
    4 |   dram: {bandwidth: 2 TB/s, capacity: 80}
      |                                       ^^^
    ");
    assert_snapshot!(refused("80 GB", "-3 GB"), @"
    error: memory.dram.capacity: `-3 GB` is negative or not finite; expected a capacity in bytes, for instance `80 GB` or `256 KiB`
     --> mine.yaml:4:39
      |
    4 |   dram: {bandwidth: 2 TB/s, capacity: -3 GB}
      |                                       ^^
    ");
}

#[test]
fn quantities_are_finite_and_of_this_world() {
    assert_snapshot!(refused("2 TB/s", "1e400 TB/s"), @"
    error: memory.dram.bandwidth: `1e400 TB/s` is negative or not finite; expected a bandwidth, for instance `3.35 TB/s`
     --> mine.yaml:4:21
      |
    4 |   dram: {bandwidth: 1e400 TB/s, capacity: 80 GB}
      |                     ^^^^^
    ");
    assert_snapshot!(refused("2 TB/s", "NaN TB/s"), @"
    error: memory.dram.bandwidth: `NaN TB/s` has no number; expected a bandwidth, for instance `3.35 TB/s`
     --> mine.yaml:4:21
      |
    4 |   dram: {bandwidth: NaN TB/s, capacity: 80 GB}
      |                     ^^^
    ");
    assert_snapshot!(refused("2 TB/s", ".nan"), @"
    error: memory.dram.bandwidth: expected a finite number
     --> mine.yaml:4:21
      |
    4 |   dram: {bandwidth: .nan, capacity: 80 GB}
      |                     ^^^^^
    ");
    assert_snapshot!(refused("2 TB/s", "1e-300 B/s"), @"
    error: memory.dram.bandwidth is 1e-300 in SI units, beyond 1e-24 to 1e24
     --> mine.yaml:4:21
      |
    4 |   dram: {bandwidth: 1e-300 B/s, capacity: 80 GB}
      |                     ^^^^^^
      |
      = help: is a prefix, an exponent or a factor wrong?
    ");
    assert_snapshot!(refused("2 TB/s", "0 TB/s"), @"
    error: memory.dram.bandwidth is zero
     --> mine.yaml:4:21
      |
    4 |   dram: {bandwidth: 0 TB/s, capacity: 80 GB}
      |                     ^
      |
      = help: leave an unknown figure out
    ");
    for nonsense in [".inf", "inf TB/s", "1e308 TB/s", "1e-320 B/s", "1e", "++2 TB/s", "{}", "x2"] {
        refused("2 TB/s", nonsense);
    }
}

#[test]
fn fields_are_known_and_given_once() {
    assert_snapshot!(refused("capacity: 80 GB", "capacity: 80 GB, bandwith: 3 TB/s"), @"
    error: unknown field `bandwith`
     --> mine.yaml:4:46
      |
    4 |   dram: {bandwidth: 2 TB/s, capacity: 80 GB, bandwith: 3 TB/s}
      |                                              ^^^^^^^^^
      |
      = help: did you mean `bandwidth`?
    ");
    assert_snapshot!(refused("{bf16: 100 TFLOP/s}", "{bf16: 100 TFLOP/s, bf16: 2 TFLOP/s}"), @"
    error: engines.matrix: duplicate key `bf16`
     --> mine.yaml:2:39
      |
    2 | engines: {matrix: {bf16: 100 TFLOP/s, bf16: 2 TFLOP/s}}
      |                                       ^^^^^
      |
      = help: a key stands once in a mapping
    ");
    assert_snapshot!(refused("id: mine", "name: mine"), @"
    error: mine.yaml has no `id`
     = help: add a line such as `id: my-device`
    ");
    assert_snapshot!(refused("bandwidth: 2 TB/s, ", ""), @"
    error: mine has no DRAM bandwidth
     --> mine.yaml:1:5
      |
    1 | id: mine
      |     ^^^^
      |
      = help: add it, for instance `memory: {dram: {bandwidth: 2039 GB/s}}`
    ");
    assert_snapshot!(refused("  dram:", "  \"<b>\": {}\n  dram:"), @"
    error: `<b>` is not the name of a memory level
     --> mine.yaml:1:5
      |
    1 | id: mine
      |     ^^^^
      |
      = help: up to 32 lower-case letters, digits, hyphens and underscores, as in `l2`
    ");
    assert_snapshot!(refused("  dram:", "  a: {inside: b}\n  b: {inside: a}\n  dram:"), @"
    error: `a` does not end up inside `b`
     --> mine.yaml:4:15
      |
    4 |   a: {inside: b}
      |               ^^
      |
      = help: list the levels innermost first, and leave `inside` out
    ");
}

#[test]
fn extends_ends_somewhere() {
    let desk = Desk::with(&[
        ("a.yaml", "id: a\nextends: ./b.yaml\n"),
        ("b.yaml", "id: b\nextends: .//a.yaml\n"),
        ("lost.yaml", "id: lost\nextends: h100-sxn\n"),
        ("gone.yaml", "id: gone\nextends: ./nowhere.yaml\n"),
    ]);
    assert_snapshot!(desk.refused(&words("hardware check a.yaml")), @"
    error: `extends` goes in a circle: a.yaml -> b.yaml -> a.yaml
     --> b.yaml:2:10
      |
    2 | extends: .//a.yaml
      |          ^^^^^^^^^
      |
      = help: one of them must stand alone
    ");
    assert_snapshot!(desk.refused(&words("hardware check lost.yaml")), @"
    error: unknown hardware `h100-sxn`
     --> lost.yaml:2:10
      |
    2 | extends: h100-sxn
      |          ^^^^^^^^
      |
      = help: did you mean `h100-sxm` or `h200-sxm` or `h800-sxm`?
    ");
    assert_snapshot!(desk.refused(&words("hardware check gone.yaml")), @"
    error: cannot read nowhere.yaml: there is no such file
     --> gone.yaml:2:10
      |
    2 | extends: ./nowhere.yaml
      |          ^^^^^^^^^^^^^^
      |
      = help: paths start at the current folder; in `extends`, at the file that says so
    ");
}

#[test]
fn a_thousand_levels_are_refused() {
    let levels: Vec<String> =
        (0..1000).map(|i| format!("  l{i}: {{bandwidth: {} TB/s}}\n", 3000 - i)).collect();
    let shown = refused("  dram:", &format!("{}  dram:", levels.concat()));
    assert!(shown.contains("1001 memory levels"), "{shown}");
}
