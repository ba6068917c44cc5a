//! Expected speed-ups of speculative decoding from acceptance rate, gamma and the cost of a draft
//! step (Leviathan et al.).

use super::{Figure, Paper, Reproduction, rows};
use crate::cost::speculative::{Cycle, optimal_gamma};
use crate::diagnostic::Diagnostic;
use crate::units::Seconds;
use crate::workload::Acceptance;
use serde::Deserialize;

pub(super) const PAPER: Paper = Paper {
    name: "speculative-decoding",
    title: "Fast inference from transformers via speculative decoding",
    citation: "Leviathan et al., arXiv 2211.17192, tables 2 and 4",
    run,
};

const DATA: &str = include_str!("data/speculative_decoding.csv");

#[derive(Debug, Deserialize)]
struct Row {
    task: String,
    draft: String,
    alpha: f64,
    gamma: u64,
    /// Time of a draft step over time of a target step.
    cost_ratio: f64,
    expected: f64,
    empirical: f64,
}

impl Row {
    /// The loop in units of a target step: a verify step takes as long as a plain one.
    fn cycle(&self, gamma: u64) -> Cycle {
        let one = Seconds::new(1.0);
        Cycle { gamma, draft: one * (self.cost_ratio * gamma as f64), verify: one, plain: one }
    }
}

fn run() -> Result<Reproduction, Diagnostic> {
    let mut found = Reproduction::default();
    for row in rows::<Row>("speculative_decoding.csv", DATA)? {
        let acceptance = Acceptance::new(&[row.alpha]);
        let acceptance = acceptance.map_err(|e| Diagnostic::new(e.to_string()))?;
        let what = format!("{}, {}, gamma {}", row.task, row.draft, row.gamma);
        let speed_up = row.cycle(row.gamma).speed_up(&acceptance);
        let best = optimal_gamma(&acceptance, u64::MAX, |gamma| row.cycle(gamma));
        let remark = format!("fastest at gamma {}: {:.2} x", best.gamma, best.speed_up);
        let expected = Figure::new(format!("{what}: expected"), "x", row.expected, speed_up);
        found.figures.push(expected.remark(remark));
        let measured = Figure::new(format!("{what}: measured"), "x", row.empirical, speed_up);
        found.figures.push(measured.remark("by the same formula; nothing is fitted to it"));
    }
    found.remarks = vec![
        "alpha, gamma and the cost of a draft step c are the paper's; the expected speed-up is \
         (1 - alpha^(gamma + 1)) / ((1 - alpha) (gamma c + 1)), theorem 3.8."
            .to_owned(),
        "The measured speed-ups include what the theorem leaves out: drafts whose cost differs \
         from c, and implementations of draft and target that differ in efficiency."
            .to_owned(),
    ];
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_twelve_expected_speed_ups_are_within_0_07() {
        let found = run().expect("figures").figures;
        let expected: Vec<&Figure> =
            found.iter().filter(|f| f.what.ends_with("expected")).collect();
        assert_eq!(expected.len(), 12);
        for figure in expected {
            let (published, simulated) = (figure.published, figure.simulated);
            let error = (published.expect("a figure") - simulated.expect("a figure")).abs();
            assert!(error <= 0.07, "{}: {published:?} {simulated:?}", figure.what);
        }
    }
}
