//! Files that are no files, no text, or traps.

use crate::support::{Desk, words};
use insta::assert_snapshot;

/// Every command that reads a file, on one file.
fn readers(desk: &Desk, name: &str) -> [String; 4] {
    let case = words("--batch 1 --prompt 8 --output 8");
    [
        desk.refused(&["hardware", "check", name]),
        desk.refused(&["sweep", name, "--csv-only"]),
        desk.refused(&[&["estimate", "--hardware", "t4", "--model", name], &case[..]].concat()),
        desk.refused(&["model", "import", name]),
    ]
}

#[test]
fn deep_nesting_is_refused() {
    let desk = Desk::with(&[
        ("maps.yaml", &"{a: ".repeat(100_000)),
        ("lists.yaml", &"[".repeat(100_000)),
        ("dashes.yaml", &"- ".repeat(100_000)),
        ("open.yaml", &format!("citations: {}", "{a: ".repeat(100_000))),
    ]);
    for name in ["maps.yaml", "lists.yaml", "dashes.yaml", "open.yaml"] {
        readers(&desk, name);
    }
    assert_snapshot!(desk.refused(&words("hardware check maps.yaml")), @"
    error: the YAML nests too deeply, or expands to too many nodes
     --> maps.yaml:1:257
      |
    1 | {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: 
      |                                                             ^^^
      |
      = help: cosim's files nest at most 6 deep; the limit is 64
    ");
}

#[test]
fn alias_bombs_are_refused() {
    let mut bomb = String::from("id: bomb\ncitations:\n  a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (before, name) in ('a'..'i').zip('b'..'j') {
        bomb += &format!("  {name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(","));
    }
    let aliases: Vec<String> = (0..900).map(|i| format!("k{i}: *a")).collect();
    let long = "y".repeat(100_000);
    let wide = format!("id: wide\ncitations: {{a: &a {long}, {}}}\n", aliases.join(", "));
    let desk = Desk::with(&[("bomb.yaml", &bomb), ("wide.yaml", &wide)]);
    readers(&desk, "bomb.yaml");
    readers(&desk, "wide.yaml");
    let shown = desk.refused(&words("hardware check wide.yaml"));
    assert!(shown.contains("expands to too many nodes"), "{shown}");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let desk = Desk::with(&[("folder.yaml/x", "")]);
    desk.write("latin.yaml", b"id: caf\xe9\n");
    desk.write("large.yaml", &vec![b'#'; 5 << 20]);
    assert_snapshot!(readers(&desk, "folder.yaml")[0], @"
    error: cannot read folder.yaml: it is a directory
     = help: name a file in it
    ");
    assert_snapshot!(readers(&desk, "latin.yaml")[0], @"error: cannot read latin.yaml: byte 7 is not UTF-8");
    assert_snapshot!(readers(&desk, "large.yaml")[0], @"error: cannot read large.yaml: it is larger than 4194304 bytes");
    assert_snapshot!(readers(&desk, "nowhere.yaml")[0], @"
    error: cannot read nowhere.yaml: there is no such file
     = help: paths start at the current folder; in `extends`, at the file that says so
    ");
}

#[test]
fn empty_files_are_named() {
    let desk = Desk::with(&[("empty.yaml", "")]);
    let [profile, scenario, model, config] = readers(&desk, "empty.yaml");
    assert_snapshot!(profile, @"
    error: empty.yaml has no `id`
     = help: add a line such as `id: my-device`
    ");
    assert_snapshot!(scenario, @"
    error: empty.yaml: missing field `model`
     = help: for instance `model: llama-3-8b`
    ");
    assert_snapshot!(model, @"
    error: empty.yaml: the file is empty
     = help: the bundled files are examples: `cosim model show llama-2-7b`
    ");
    assert_snapshot!(config, @"
    error: empty.yaml: not a JSON object: EOF while parsing a value
     = help: expected the whole config.json of a Hugging Face model
    ");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let desk =
        Desk::with(&[("x.yaml", "id: \"\\e[31m\"\n\"\\e[2J\": 1\n"), ("y.yaml", "\0\u{1b}")]);
    for name in ["x.yaml", "y.yaml"] {
        for shown in readers(&desk, name) {
            assert!(!shown.contains(['\u{1b}', '\0']), "{shown:?}");
        }
    }
}
