//! Published figures beside simulated ones: one file per paper, its data beside it.
//!
//! To add a paper: one file here with a [`Paper`], its figures in `data/` with their citation, and
//! one line in [`PAPERS`].

mod flashattention;
mod gguf;
mod gqa;
mod lab;
mod mission;
mod mqa;
mod pagedattention;
mod quantization;
mod speculative_decoding;
mod speculative_sampling;
mod table;

pub use table::{Figure, Reproduction, rows};

use crate::diagnostic::Diagnostic;

/// A publication whose figures the simulator gives again.
#[derive(Debug)]
pub struct Paper {
    /// Name on the command line and of its files.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// Where it was published.
    pub citation: &'static str,
    /// Computes its figures.
    pub run: fn() -> Result<Reproduction, Diagnostic>,
}

/// Every paper, in the order of the report.
pub const PAPERS: &[Paper] = &[
    gguf::PAPER,
    mission::PAPER,
    speculative_decoding::PAPER,
    speculative_sampling::PAPER,
    pagedattention::PAPER,
    flashattention::PAPER,
    mqa::PAPER,
    gqa::PAPER,
    quantization::PAPER,
];

/// The paper of that name.
///
/// # Errors
/// An unknown name; the closest ones are offered.
pub fn find(name: &str) -> Result<&'static Paper, Diagnostic> {
    let found = PAPERS.iter().find(|p| p.name == name);
    found.ok_or_else(|| Diagnostic::unknown("paper", name, PAPERS.iter().map(|p| p.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_paper_has_figures() {
        for (i, paper) in PAPERS.iter().enumerate() {
            assert!(PAPERS[..i].iter().all(|p| p.name != paper.name), "{}", paper.name);
            let found = (paper.run)().unwrap_or_else(|e| panic!("{}: {e}", paper.name));
            assert!(!found.figures.is_empty(), "{}", paper.name);
            for figure in &found.figures {
                let stated = figure.simulated.is_some() || !figure.remark.is_empty();
                assert!(stated, "{}: {} has neither figure nor reason", paper.name, figure.what);
            }
        }
    }
}
