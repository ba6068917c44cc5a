//! How wide tables may be.

use crate::report::Terminal;
use std::io::IsTerminal;

/// The terminal's width where standard output is one; else as wide as the content.
pub fn shape() -> Terminal {
    if !std::io::stdout().is_terminal() {
        return Terminal::Plain;
    }
    let (_, columns) = console::Term::stdout().size();
    Terminal::Wide(columns.max(60))
}
