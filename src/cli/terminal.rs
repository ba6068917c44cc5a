//! How wide tables may be, and bars of progress.

use crate::report::Terminal;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// The terminal's width where standard output is one; else as wide as the content.
pub fn shape() -> Terminal {
    if !std::io::stdout().is_terminal() {
        return Terminal::Plain;
    }
    let (_, columns) = console::Term::stdout().size();
    Terminal::Wide(columns.max(60))
}

/// A bar over so many tokens, on a terminal only.
pub fn progress(tokens: u64) -> ProgressBar {
    bar(tokens, "[{bar:40}] {human_pos}/{human_len} tokens, {per_sec}, {eta} left")
}

/// A bar over so many steps, on a terminal only.
pub fn steps(steps: u64) -> ProgressBar {
    let bar = bar(steps, "[{bar:40}] {human_pos}/{human_len} steps, {elapsed}");
    bar.tick();
    bar
}

fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
