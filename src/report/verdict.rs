//! What `cosim validate` says: text and JSON.

use crate::validate::{Counts, Diagnosis, Layout, Over, Suspect, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VerdictRow<'a> {
    /// How it lies.
    pub layout: &'a Layout,
    /// What the policy says of it.
    pub verdict: &'a Verdict,
}

/// The verdict on a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct VerdictReport<'a> {
    /// The policy.
    pub policy: &'a str,
    /// The policy in words.
    pub says: &'a str,
    /// Each output.
    pub rows: Vec<VerdictRow<'a>>,
    /// Why it is wrong.
    pub diagnosis: Option<&'a Diagnosis>,
}

/// Suspects that are printed, and indices that are listed.
const SHOWN: usize = 3;
const LISTED: usize = 12;

impl VerdictRow<'_> {
    /// Right or wrong.
    pub fn headline(&self, policy: &str) -> String {
        format!("{} by {policy}", word(self.verdict.passed))
    }

    /// Indices of an element along the axes.
    fn place(&self, index: usize) -> Vec<usize> {
        let mut rest = index;
        let mut place: Vec<usize> = vec![];
        for &(_, extent) in self.layout.axes.iter().rev() {
            let extent = (extent as usize).max(1);
            place.push(rest % extent);
            rest /= extent;
        }
        place.reverse();
        place
    }

    /// Along each axis, which indices have an element beyond its tolerance.
    fn wrong(&self) -> Vec<(&'static str, u64, BTreeSet<usize>)> {
        let places: Vec<Vec<usize>> = self.verdict.beyond.iter().map(|&i| self.place(i)).collect();
        let axes = self.layout.axes.iter().enumerate();
        axes.map(|(a, &(name, n))| (name, n, places.iter().map(|p| p[a]).collect())).collect()
    }

    fn told(&self, text: &mut String) {
        let d = &self.verdict.difference;
        let mut line = |name: &str, value: String| *text += &format!("  {name:<18} {value}\n");
        line(
            "measured, allowed",
            format!("{:.3e}, {:.3e}", self.verdict.measured, self.verdict.limit),
        );
        for (name, extreme) in [("largest absolute", d.absolute), ("largest relative", d.relative)]
        {
            line(name, format!("{:.3e} at {:?}", extreme.value, self.place(extreme.index)));
        }
        let bins = d.ulps.map(|n| n.to_string()).join(" ");
        line("ULPs", format!("{bins} (up to 0.5, 1, 2, 4, 16, 256, more)"));
        line("NMSE, SQNR", format!("{:.3e}, {:.1} dB", d.nmse, d.sqnr));
        line("cosine, gain", format!("{:.6}, {:.4}", d.cosine, d.gain));
        line("within tolerance", format!("{:.3} %", 100.0 * self.verdict.matched));
        for (name, counts) in [("output", d.got), ("expected", d.expected)] {
            line(
                name,
                format!("{} NaN, {} Inf, {} zero", counts.nan, counts.infinite, counts.zero),
            );
        }
        for (axis, extent, found) in self.wrong() {
            if extent > 1 && !found.is_empty() {
                line(&format!("wrong {axis}s"), listed(&found, extent));
            }
        }
    }

    fn to_json(self) -> Value {
        let d = &self.verdict.difference;
        let counts = |c: Counts| json!({"nan": c.nan, "inf": c.infinite, "zero": c.zero});
        let wrong: serde_json::Map<String, Value> = self
            .wrong()
            .into_iter()
            .map(|(axis, _, found)| (axis.to_owned(), json!(found)))
            .collect();
        json!({
            "name": self.layout.name,
            "passed": self.verdict.passed,
            "measured": self.verdict.measured,
            "limit": self.verdict.limit,
            "max_absolute": {"value": d.absolute.value, "index": self.place(d.absolute.index)},
            "max_relative": {"value": d.relative.value, "index": self.place(d.relative.index)},
            "ulp_histogram": d.ulps,
            "nmse": d.nmse,
            "sqnr_db": d.sqnr,
            "cosine": d.cosine,
            "gain": d.gain,
            "matched": self.verdict.matched,
            "got": counts(d.got),
            "expected": counts(d.expected),
            "wrong": wrong,
        })
    }
}

impl VerdictReport<'_> {
    fn passed(&self) -> bool {
        self.rows.iter().all(|r| r.verdict.passed)
    }

    /// As a person reads it.
    pub fn to_text(&self) -> String {
        let mut text = format!("{} by {}: {}\n", word(self.passed()), self.policy, self.says);
        for row in &self.rows {
            if self.rows.len() > 1 {
                text += &format!("{}: {}\n", row.layout.name, word(row.verdict.passed));
            }
            row.told(&mut text);
        }
        text + &self.diagnosis.map_or_else(String::new, explained)
    }

    /// As a program reads it.
    pub fn to_json(&self) -> Value {
        let suspects = self.diagnosis.map(|found| {
            let of = |s: &Suspect| {
                let part = s.over == Over::Part;
                json!({"names": s.names, "form": s.form, "residual": s.residual, "of_a_part": part})
            };
            found.suspects.iter().map(of).collect::<Vec<_>>()
        });
        json!({
            "policy": self.policy,
            "passed": self.passed(),
            "outputs": self.rows.iter().map(|r| r.to_json()).collect::<Vec<_>>(),
            "cause": self.diagnosis.and_then(Diagnosis::cause).map(|s| s.says),
            "suspects": suspects,
            "not_observable": self.diagnosis.map(|found| &found.not_observable),
        })
    }
}

const fn word(passed: bool) -> &'static str {
    if passed { "right" } else { "wrong" }
}

/// `all`, or the first dozen.
fn listed(found: &BTreeSet<usize>, extent: u64) -> String {
    if found.len() as u64 == extent {
        return "all".to_owned();
    }
    let first: Vec<String> = found.iter().take(LISTED).map(usize::to_string).collect();
    match found.len().checked_sub(LISTED) {
        None | Some(0) => first.join(" "),
        Some(more) => format!("{} and {more} more", first.join(" ")),
    }
}

fn explained(diagnosis: &Diagnosis) -> String {
    let mut text = match diagnosis.cause() {
        Some(cause) => format!("likeliest cause: {}\n", cause.says),
        None => "no known bug explains it; the nearest:\n".to_owned(),
    };
    for suspect in diagnosis.suspects.iter().take(SHOWN) {
        let names = suspect.names.join(" = ");
        let form = suspect.form.as_ref().map_or_else(String::new, |form| format!(", {form}"));
        let part = if suspect.over == Over::Part { ", on a part" } else { "" };
        text += &format!("  residual {:.1e}  {names}{form}{part}\n", suspect.residual);
    }
    text += &format!("  residual {:.1e}  the truth\n", diagnosis.against_truth);
    if !diagnosis.not_observable.is_empty() {
        text += &format!("not observable here: {}\n", diagnosis.not_observable.join(", "));
    }
    text
}
