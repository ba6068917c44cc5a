//! How wide tables may be.

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
    let template = "[{bar:40}] {human_pos}/{human_len} tokens, {per_sec}, {eta} left";
    let bar = ProgressBar::new(tokens);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
