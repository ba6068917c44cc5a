//! `graph`: DOT and JSON that other programs read.

use crate::support::{Desk, words};
use std::collections::BTreeSet;

#[test]
fn dot_is_balanced_and_names_each_node_once() {
    let dot = Desk::new().ok(&words("graph --model llama-2-7b"));
    assert!(dot.starts_with("digraph ") && dot.trim_end().ends_with('}'));
    let (mut quoted, mut depth) = (false, 0_i32);
    let mut before = ' ';
    for c in dot.chars() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => depth -= 1,
            _ => {}
        }
        assert!(depth >= 0 && !(quoted && c == '\n'));
        before = c;
    }
    assert!(depth == 0 && !quoted);
    let mut nodes = BTreeSet::new();
    for line in dot.lines().map(str::trim).filter(|l| l.contains(" [shape=")) {
        assert!(nodes.insert(line.split(' ').next()), "{line}");
    }
    for line in dot.lines().map(str::trim).filter(|l| l.contains(" -> ")) {
        let mut ends = line.trim_end_matches(';').split(" -> ");
        let end = |text: Option<&str>| {
            text.map(|t| t.split([' ', ';', '[']).next().unwrap_or(t).to_owned())
        };
        for name in [end(ends.next()), end(ends.next())] {
            assert!(nodes.contains(&name.as_deref()), "{line}");
        }
    }
}

#[test]
fn json_has_nodes_whose_operands_exist() {
    let desk = Desk::new();
    let json = desk.json(&words("graph --model llama-2-7b --format json"));
    let nodes = json["nodes"].as_array().expect("a list");
    let ids: BTreeSet<u64> = nodes.iter().filter_map(|n| n["id"].as_u64()).collect();
    assert_eq!(ids.len(), nodes.len());
    assert_eq!(json["regions"][1]["count"], 32);
    desk.ok(&words("graph --model llama-2-7b --format json -o new/graph.json"));
    let written: serde_json::Value =
        serde_json::from_str(&desk.read("new/graph.json")).expect("JSON");
    assert_eq!(written, json);
}

#[test]
fn fusion_changes_the_kernels_of_the_graph() {
    let desk = Desk::new();
    let fused = desk.ok(&words("graph --model gpt2 --format json"));
    let plain = desk.ok(&words("graph --model gpt2 --format json --no-fusion"));
    assert_ne!(fused, plain);
}
