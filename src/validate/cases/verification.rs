//! Cases of verifying drafted tokens: speculative sampling's accept and residual rule.

use super::random::Random;
use crate::codec::Float;
use crate::formats::Kind;
use crate::session::{acceptance, drawn, residual, verify};
use crate::validate::case::sizes;
use crate::validate::{
    Array, Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use serde::{Deserialize, Serialize};

/// Verification of drafted tokens (Leviathan et al., arXiv 2211.17192; Chen et al., arXiv 2302.01318). The
/// defaults show every known bug.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerificationCase {
    /// Sequences
    #[arg(long, default_value = "64")]
    pub rows: u64,
    /// Drafted tokens of a sequence
    #[arg(long, default_value = "4")]
    pub gamma: u64,
    /// Tokens to choose from
    #[arg(long, default_value = "50")]
    pub vocabulary: u64,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// How far a uniform number stays away from where the result changes.
const MARGIN: f64 = 1e-5;

/// One sequence.
struct Row {
    /// The target's distributions, one more than drafted tokens.
    p: Vec<Vec<f64>>,
    /// The draft's.
    q: Vec<Vec<f64>>,
    drafted: Vec<u64>,
    uniform: Vec<f64>,
}

/// How many drafted tokens are accepted, and the token behind them.
type Rule = fn(&Row) -> (usize, u64);

fn right(row: &Row) -> (usize, u64) {
    let mut numbers = row.uniform.iter().copied();
    verify(&row.p, &row.q, &row.drafted, &mut || numbers.next().unwrap_or(0.5))
}

/// The rule with another test of a drafted token or another distribution behind it.
fn with(
    row: &Row,
    accepts: impl Fn(usize, f64) -> bool,
    behind: impl Fn(usize) -> Vec<f64>,
) -> (usize, u64) {
    let accepted = (0..row.drafted.len()).find(|&i| !accepts(i, row.uniform[i]));
    let accepted = accepted.unwrap_or(row.drafted.len());
    // One number for each token that was looked at, the next for the draw.
    let next = (accepted + 1).min(row.drafted.len() + usize::from(accepted < row.drafted.len()));
    (accepted, drawn(&behind(accepted), row.uniform[next]))
}

impl Row {
    fn chances(&self, i: usize) -> (f64, f64) {
        let token = self.drafted[i] as usize;
        (self.p[i][token], self.q[i][token])
    }

    fn accepts(&self, i: usize, u: f64) -> bool {
        let (p, q) = self.chances(i);
        u < acceptance(p, q)
    }

    fn behind(&self, i: usize) -> Vec<f64> {
        match self.q.get(i) {
            Some(q) => residual(&self.p[i], q),
            None => self.p[i].clone(),
        }
    }
}

/// Known bugs: name, meaning, rule.
const BUGS: &[(&str, &str, Rule)] = &[
    ("always-accepts", "every drafted token is accepted", |r| {
        with(r, |_, _| true, |i| r.behind(i))
    }),
    ("never-accepts", "no drafted token is accepted", |r| with(r, |_, _| false, |i| r.behind(i))),
    ("ratio-inverse", "accepted with probability q / p, not p / q", |r| {
        let accepts = |i, u| {
            let (p, q) = r.chances(i);
            u < acceptance(q, p)
        };
        with(r, accepts, |i| r.behind(i))
    }),
    ("draft-missing", "accepted with probability p, not p / q", |r| {
        with(r, |i, u| u < r.chances(i).0, |i| r.behind(i))
    }),
    ("uniform-turned", "accepted where u is above p / q", |r| {
        with(r, |i, u| !r.accepts(i, u), |i| r.behind(i))
    }),
    ("threshold", "accepted where p is at least q, whatever u", |r| {
        with(r, |i, _| r.chances(i).0 >= r.chances(i).1, |i| r.behind(i))
    }),
    (
        "residual-missing",
        "a rejected token is replaced by a draw from p, not from max(0, p - q)",
        |r| with(r, |i, u| r.accepts(i, u), |i| r.p[i].clone()),
    ),
    ("residual-raw", "max(0, p - q) is not normalised", |r| {
        let raw = |i: usize| match r.q.get(i) {
            Some(q) => r.p[i].iter().zip(q).map(|(p, q)| (p - q).max(0.0)).collect(),
            None => r.p[i].clone(),
        };
        with(r, |i, u| r.accepts(i, u), raw)
    }),
    ("residual-inverse", "the residual is max(0, q - p)", |r| {
        let turned = |i: usize| match r.q.get(i) {
            Some(q) => residual(q, &r.p[i]),
            None => r.p[i].clone(),
        };
        with(r, |i, u| r.accepts(i, u), turned)
    }),
    ("residual-of-draft", "a rejected token is replaced by a draw from q", |r| {
        with(r, |i, u| r.accepts(i, u), |i| r.q.get(i).unwrap_or(&r.p[i]).clone())
    }),
    (
        "bonus-stale",
        "behind a draft that is wholly accepted, the distribution before is drawn from",
        |r| {
            let stale = |i: usize| if i < r.q.len() { r.behind(i) } else { r.p[i - 1].clone() };
            with(r, |i, u| r.accepts(i, u), stale)
        },
    ),
    ("position-plus-1", "a drafted token is held against the distribution behind it", |r| {
        let late = |i: usize, u: f64| {
            let token = r.drafted[i] as usize;
            u < acceptance(r.p[i + 1][token], r.q[i][token])
        };
        with(r, late, |i| r.behind(i))
    }),
    ("greedy", "the likeliest token is drawn behind the accepted ones", |r| {
        let (accepted, _) = right(r);
        let weights = r.behind(accepted);
        let better = |best: usize, i: usize| if weights[i] > weights[best] { i } else { best };
        (accepted, (1..weights.len()).fold(0, better) as u64)
    }),
];

impl VerificationCase {
    fn rows_of(&self, inputs: &Inputs) -> Vec<Row> {
        let (gamma, width) = (self.gamma as usize, self.vocabulary as usize);
        let table = |name: &str, row: usize, count: usize| -> Vec<Vec<f64>> {
            let all = &inputs.of(name)[row * count * width..][..count * width];
            all.chunks_exact(width).map(<[f64]>::to_vec).collect()
        };
        let row = |r: usize| Row {
            p: table("p", r, gamma + 1),
            q: table("q", r, gamma),
            drafted: inputs.of("drafted")[r * gamma..][..gamma].iter().map(|&t| t as u64).collect(),
            uniform: inputs.of("u")[r * (gamma + 1)..][..=gamma].to_vec(),
        };
        (0..self.rows as usize).map(row).collect()
    }

    fn by(&self, inputs: &Inputs, rule: Rule) -> Outputs {
        let (mut counts, mut tokens) = (vec![], vec![]);
        for row in self.rows_of(inputs) {
            let (accepted, next) = rule(&row);
            counts.push(accepted as f64);
            let kept = row.drafted[..accepted].iter().map(|&t| t as f64).chain([next as f64]);
            let padding = std::iter::repeat(-1.0);
            tokens.extend(kept.chain(padding).take(row.drafted.len() + 1));
        }
        vec![counts, tokens]
    }

    /// A distribution over the tokens, as fp32 has it.
    fn distribution(&self, random: &mut Random) -> Vec<f64> {
        let weights: Vec<f64> = (0..self.vocabulary).map(|_| (1.5 * random.unit()).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|w| Stored::Float(Float::FP32).round(w / sum)).collect()
    }

    fn draw(&self, random: &mut Random) -> Row {
        let gamma = self.gamma as usize;
        let p: Vec<_> = (0..=gamma).map(|_| self.distribution(random)).collect();
        let mut q = vec![];
        for target in &p[..gamma] {
            // A draft that is near the target, so that some tokens are accepted and some are not.
            let other = self.distribution(random);
            let mixed = target.iter().zip(other).map(|(p, o)| 0.6 * p + 0.4 * o);
            q.push(mixed.map(|x| Stored::Float(Float::FP32).round(x)).collect::<Vec<f64>>());
        }
        let drafted = q.iter().map(|q| drawn(q, random.fraction())).collect();
        let number = |_| Stored::Float(Float::FP32).round(random.fraction());
        let uniform = (0..=gamma).map(number).collect();
        Row { p, q, drafted, uniform }
    }

    /// Whether rounding cannot change the result.
    fn is_clear(row: &Row) -> bool {
        let moved = |by: f64| {
            let uniform = row.uniform.iter().map(|u| u + by).collect();
            right(&Row {
                p: row.p.clone(),
                q: row.q.clone(),
                drafted: row.drafted.clone(),
                uniform,
            })
        };
        moved(MARGIN) == right(row) && moved(-MARGIN) == right(row)
    }
}

impl Case for VerificationCase {
    fn check(&self) -> Result<(), CaseError> {
        let named = [("rows", self.rows), ("gamma", self.gamma), ("vocabulary", self.vocabulary)];
        sizes(&named, 100.0 * named.map(|n| n.1 as f64).iter().product::<f64>())?;
        if self.vocabulary < 2 {
            return Err(CaseError::Number("vocabulary is 1, not at least 2".to_owned()));
        }
        Ok(())
    }

    fn title(&self) -> String {
        let Self { rows, gamma, vocabulary, .. } = self;
        format!(
            "verification of {gamma} drafted tokens of {rows} sequences, {vocabulary} tokens to choose from"
        )
    }

    fn conventions(&self) -> Vec<String> {
        [
            "Drafted token i is accepted where u[i] < min(1, p[i, token] / q[i, token]), until one is not.",
            "Behind i accepted tokens, the next is drawn from max(0, p[i] - q[i]), normalised, or from \
             p[gamma] where all are accepted: the first token whose cumulative probability is above the \
             uniform number behind the last that was looked at.",
            "`accepted` counts the accepted tokens; `tokens` has them, the next one, and -1 behind it.",
            "No u is so close that rounding in f32 decides.",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let mut rows: Vec<Row> = vec![];
        while rows.len() < self.rows as usize {
            let found = (0..64).map(|_| self.draw(&mut random)).find(Self::is_clear);
            rows.push(found.unwrap_or_else(|| self.draw(&mut random)));
        }
        let (gamma, width) = (self.gamma, self.vocabulary);
        let fp32 = Stored::Float(Float::FP32);
        let all = |name, says, axes: &[(&'static str, u64)], stored, of: fn(&Row) -> Vec<f64>| {
            let axes = [&[("sequence", self.rows)], axes].concat();
            let layout = Layout::new(name, says, axes, stored);
            Array { layout, values: rows.iter().flat_map(of).collect() }
        };
        Inputs(vec![
            all(
                "p",
                "the target's probabilities",
                &[("position", gamma + 1), ("token", width)],
                fp32,
                |r| r.p.concat(),
            ),
            all(
                "q",
                "the draft's probabilities",
                &[("position", gamma), ("token", width)],
                fp32,
                |r| r.q.concat(),
            ),
            all(
                "drafted",
                "the drafted tokens",
                &[("position", gamma)],
                Stored::Integer(Kind::I32),
                |r| r.drafted.iter().map(|&t| t as f64).collect(),
            ),
            all("u", "uniform numbers in [0, 1)", &[("position", gamma + 1)], fp32, |r| {
                r.uniform.clone()
            }),
        ])
    }

    fn outputs(&self) -> Vec<Output> {
        let stored = Stored::Integer(Kind::I32);
        let accepted =
            Layout::new("accepted", "accepted tokens", [("sequence", self.rows)], stored);
        let axes = [("sequence", self.rows), ("position", self.gamma + 1)];
        let tokens = Layout::new("tokens", "the tokens that stand", axes, stored);
        [accepted, tokens].map(|layout| Output { layout, discrete: true }).to_vec()
    }

    fn eval(&self, inputs: &Inputs, _: Precision) -> Outputs {
        self.by(inputs, right)
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        let of = |&(name, says, rule): &(&'static str, &'static str, Rule)| {
            Mutant::new(name, says, move |inputs: &Inputs, _| self.by(inputs, rule))
        };
        BUGS.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;

    #[test]
    fn bugs_are_told_apart() {
        let case = |rows, gamma| VerificationCase { rows, gamma, vocabulary: 12, seed: 3 };
        let cases = [case(60, 4), case(40, 1)];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }

    #[test]
    fn the_rule_with_nothing_changed_is_the_right_one() {
        let case = VerificationCase { rows: 300, gamma: 3, vocabulary: 9, seed: 8 };
        for row in case.rows_of(&case.inputs()) {
            assert_eq!(with(&row, |i, u| row.accepts(i, u), |i| row.behind(i)), right(&row));
        }
    }
}
