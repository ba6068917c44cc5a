//! Help, version and completions.

use crate::support::{Desk, words};

const COMMANDS: &[&str] = &[
    "",
    "sweep",
    "estimate",
    "distill",
    "explain",
    "roofline",
    "waterfall",
    "reproduce",
    "kv",
    "golden",
    "golden attention",
    "validate",
    "graph",
    "model",
    "model list",
    "model show",
    "model import",
    "model schema",
    "hardware",
    "hardware list",
    "hardware show",
    "hardware check",
    "hardware schema",
    "completions",
];

#[test]
fn every_command_has_help() {
    let desk = Desk::new();
    for command in COMMANDS {
        for flag in ["-h", "--help"] {
            let help = desk.ok(&words(&format!("{command} {flag}")));
            assert!(help.contains("Usage: cosim"), "{command}: {help}");
            assert!(
                help.lines().all(|l| l.starts_with("Usage: ") || l.chars().count() <= 100),
                "{command}: {help}"
            );
        }
    }
    assert!(desk.ok(&["--version"]).starts_with("cosim "));
}

#[test]
fn commands_without_their_words_say_so() {
    for line in ["", "model", "hardware", "estimate", "roofline", "nonsense", "estimate --nonsense"]
    {
        let shown = Desk::new().run(&words(line));
        assert_eq!((shown.code, shown.stdout.as_str()), (2, ""), "{line}");
        assert!(shown.stderr.contains("Usage: cosim"), "{line}: {}", shown.stderr);
    }
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(Desk::new().ok(&["completions", shell]).contains("cosim"), "{shell}");
    }
}
