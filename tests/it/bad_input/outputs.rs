//! Places that cannot be written, and readers that go away.

use crate::support::{Desk, words};
use insta::assert_snapshot;
use std::process::{Command, Stdio};

#[test]
fn a_file_stands_where_a_folder_is_needed() {
    let desk = Desk::with(&[("taken", "mine"), ("folder/x", "")]);
    assert_snapshot!(desk.refused(&words("sweep chat --hardware t4 --out taken")), @"
    error: cannot write taken/sweep.csv: taken is a file, not a folder
     = help: name another folder
    ");
    assert_snapshot!(desk.refused(&words("sweep chat --hardware t4 --out taken/below/it")), @"
    error: cannot write taken/below/it/sweep.csv: taken is a file, not a folder
     = help: name another folder
    ");
    assert_snapshot!(desk.refused(&words("graph --model gpt2 -o folder")), @"
    error: cannot write folder: it is a directory
     = help: name a file
    ");
    let drawn =
        "roofline --model gpt2 --hardware t4 --batch 1 --prompt 8 --output 8 -o taken/x.svg";
    assert_snapshot!(desk.refused(&words(drawn)), @"
    error: cannot write taken/x.svg: taken is a file, not a folder
     = help: name another folder
    ");
    let table = "kv --model gpt2 --hardware t4 -o kv.csv";
    assert_snapshot!(desk.refused(&words(table)), @"
    error: invalid value 'kv.csv' for '--svg <FILE>': pictures are SVG; expected a name that ends in .svg

    For more information, try '--help'.
    ");
    assert_eq!(desk.read("taken"), "mine");
}

#[test]
fn a_sweep_that_fails_leaves_nothing() {
    let desk = Desk::with(&[("out/index.html/x", ""), ("start/sweep.csv/x", "")]);
    assert_snapshot!(desk.refused(&words("sweep chat --hardware t4 --out out")), @"
    error: cannot write out/index.html: it is a directory
     = help: name a file
    ");
    assert_snapshot!(desk.refused(&words("sweep chat --hardware t4 --out start")), @"
    error: cannot write start/sweep.csv: it is a directory
     = help: name a file
    ");
    desk.refused(&words("sweep chat --hardware t4 --out new --set model=nowhere"));
    desk.refused(&words("sweep chat chatt --hardware t4 --out new"));
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    for line in ["hardware list", "hardware schema", "model list --json", "graph --model gpt2"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cosim"))
            .args(words(line))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("ended");
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    }
}
