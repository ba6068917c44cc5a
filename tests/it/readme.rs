//! The README's console blocks are what the program prints.
//!
//! A block is ` ```console ` with lines `$ cosim ...` (or `$ cargo run --release -- ...`), each
//! followed by its output; `head=N` keeps the first N lines. `UPDATE_README=1 cargo test readme`
//! writes the outputs anew.

use crate::support::words as split;
use assert_cmd::Command;
use std::fmt::Write;
use std::path::Path;

/// Output of a command line, run in an empty folder.
fn output(line: &str, folder: &Path) -> String {
    let words = line.trim_start_matches("cargo run --release -- ").trim_start_matches("cosim ");
    let arguments = split(words);
    let run =
        Command::cargo_bin("cosim").expect("built").current_dir(folder).args(arguments).output();
    let run = run.expect("starts");
    assert!(run.status.success(), "{line}: {}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).expect("UTF-8");
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The block's body as the program makes it now.
fn fresh(body: &str, head: Option<usize>, folder: &Path) -> String {
    let mut text = String::new();
    for line in body.lines().filter_map(|l| l.strip_prefix("$ ")) {
        let printed = output(line, folder);
        let lines: Vec<&str> = printed.lines().collect();
        let shown = head.unwrap_or(lines.len()).min(lines.len());
        let _ = writeln!(text, "$ {line}");
        for l in &lines[..shown] {
            let _ = writeln!(text, "{l}");
        }
        if shown < lines.len() {
            text.push_str("...\n");
        }
    }
    text
}

#[test]
fn readme_shows_what_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md");
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut rebuilt = String::new();
    let mut rest = readme.as_str();
    let mut blocks = 0;
    while let Some(at) = rest.find("```console") {
        let (before, block) = rest.split_at(at);
        let (fence, body) = block.split_once('\n').expect("a block has lines");
        let end = body.find("```").expect("a block ends");
        let head = fence.split_once("head=").and_then(|(_, n)| n.trim().parse().ok());
        rebuilt += &format!("{before}{fence}\n{}", fresh(&body[..end], head, folder.path()));
        rest = &body[end..];
        let (close, after) = rest.split_at(3);
        rebuilt += close;
        rest = after;
        blocks += 1;
    }
    rebuilt += rest;
    assert!(blocks >= 5, "the tour has five questions");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, &rebuilt).expect("writable");
    } else if readme != rebuilt {
        let line = readme.lines().zip(rebuilt.lines()).position(|(a, b)| a != b).unwrap_or(0);
        let now = rebuilt.lines().nth(line).unwrap_or("");
        panic!(
            "README.md:{}: the program prints\n{now}\nUPDATE_README=1 cargo test readme writes it",
            line + 1
        );
    }
}
