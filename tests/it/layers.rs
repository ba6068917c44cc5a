//! Imports point down only: the table of ARCHITECTURE.md, held against every source file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules by rank; those of one rank are siblings that do not import each other.
const RANKS: &[&[&str]] = &[
    &["units", "provenance", "diagnostic", "yaml", "par"],
    &["dtype"],
    &["tensor", "codec", "formats"],
    &["op", "tokenizer"],
    &["graph", "hardware"],
    &["model"],
    &["mapped", "mapping", "exec", "workload", "quantize", "quality", "weights"],
    &["cost", "session"],
    &["serving", "validate", "calibrate"],
    &["sweep", "reproduce"],
    &["report"],
    &["cli"],
    &["main"],
];

/// Siblings that may: messages about quantities and YAML are diagnostics.
const ALLOWED_SIBLINGS: &[(&str, &str)] = &[("units", "diagnostic"), ("yaml", "diagnostic")];

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

fn may_import(from: &str, to: &str) -> bool {
    from == to || ALLOWED_SIBLINGS.contains(&(from, to)) || rank(from) > rank(to)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The code without comments and without what is compiled for tests only.
fn shipped(text: &str) -> String {
    let code = text.lines().map(|l| l.split_once("//").map_or(l, |(code, _)| code));
    let code: String = code.flat_map(|l| [l, "\n"]).collect();
    let mut parts = code.split("#[cfg(test)]");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + behind_item(part))
}

/// What follows the item at the start: behind its `;`, or behind the brace that closes it.
fn behind_item(text: &str) -> &str {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 && matches!(c, ';' | '}') {
            return &text[i + 1..];
        }
    }
    ""
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// The first segments of a path's rest: one, or those of `{a, b::{c, d}}`.
fn heads(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else { return vec![identifier(rest)] };
    let mut depth = 0;
    let mut heads = vec![identifier(group.trim_start())];
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(identifier(group[i + 1..].trim_start())),
            _ => {}
        }
    }
    heads.retain(|h| !h.is_empty());
    heads
}

/// Modules at the root of the crate that the code names; `depth` many `super` lead there.
fn imports(code: &str, depth: usize) -> BTreeSet<String> {
    let supers = "super::".repeat(depth);
    let roots = ["crate::", "cosim::", supers.as_str()];
    let mut found = BTreeSet::new();
    for root in roots {
        for (at, _) in code.match_indices(root) {
            let continues = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let continued = code[..at].ends_with(continues);
            let rest = &code[at + root.len()..];
            if !continued && !rest.starts_with("super::") {
                found.extend(heads(rest).into_iter().map(str::to_owned));
            }
        }
    }
    found
}

/// Every module at the root of the crate with those it imports.
fn graph() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    sources(&root, &mut files);
    let mut graph: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for file in files {
        let path = file.strip_prefix(&root).expect("below src").with_extension("");
        let mut segments: Vec<_> = path.iter().map(|s| s.to_string_lossy().into_owned()).collect();
        if segments == ["lib"] {
            continue;
        }
        let module = segments[0].clone();
        segments.retain(|s| s != "mod");
        let text = std::fs::read_to_string(&file).expect("readable");
        let imported = imports(&shipped(&text), segments.len());
        let edges = graph.entry(module).or_default();
        edges.extend(imported.into_iter().map(|to| (to, path.clone())));
    }
    graph
}

#[test]
fn imports_point_down_only() {
    let graph = graph();
    let mut faults = vec![];
    for (from, edges) in &graph {
        if rank(from).is_none() {
            faults.push(format!("{from} has no rank"));
        }
        // A name at the root that is no module is an item that lib.rs re-exports.
        for (to, file) in edges.iter().filter(|(to, _)| graph.contains_key(*to)) {
            if !may_import(from, to) {
                faults.push(format!("{from} imports {to} in {}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let known = [("cost", "mapping"), ("op", "tensor"), ("units", "diagnostic")];
    for (from, to) in known {
        assert!(graph[from].contains_key(to), "the parser misses that {from} imports {to}");
    }
}

#[test]
fn the_parser_sees_every_form_of_a_path() {
    let code = shipped(
        "use crate::{a, b::{c, d}, e as f};\nuse super::g::h; // crate::comment\n\
         fn x() { crate::i::y(super::super::j); }\n#[cfg(test)]\nuse crate::test_only;\n\
         #[cfg(test)]\nmod tests { use crate::k; fn z() { crate::l } }\nuse $crate::m;",
    );
    let at = |depth| imports(&code, depth).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(at(1), "a b e g i m");
    assert_eq!(at(2), "a b e i j m");
    assert!(!may_import("op", "cost") && !may_import("graph", "hardware"));
    assert!(may_import("cost", "op") && !may_import("diagnostic", "units"));
}
