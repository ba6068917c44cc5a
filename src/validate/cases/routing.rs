//! Cases of MoE routing: the experts of each token and their weights.

use super::evaluate::{of, run, values};
use super::random::Random;
use crate::codec::Float;
use crate::formats::Kind;
use crate::op::scalar::Scalar;
use crate::op::{Groups, Route, Scoring};
use crate::tensor::Step;
use crate::validate::case::sizes;
use crate::validate::{
    Array, Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Routing of tokens to experts. The defaults are Mixtral's rule over more experts.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingCase {
    /// Tokens
    #[arg(long, default_value = "64")]
    pub tokens: u64,
    /// Experts to choose from
    #[arg(long, default_value = "32")]
    pub experts: u64,
    /// Experts per token
    #[arg(long, default_value = "4")]
    pub active: u64,
    /// From logits to scores
    #[arg(long, value_enum, default_value_t)]
    pub scoring: Scores,
    /// Weights are scores, not divided by their sum
    #[arg(long)]
    #[serde(default)]
    pub unnormalised: bool,
    /// Factor of the weights
    #[arg(long, default_value = "1")]
    pub scaling: f64,
    /// Groups of experts, of which the best are chosen first
    #[arg(long, requires = "active_groups")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<u64>,
    /// Groups that a token may choose experts of
    #[arg(long, requires = "groups")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_groups: Option<u64>,
    /// A group is as good as the sum of so many of its best experts: 1 in DeepSeek-V2, 2 in V3
    #[arg(long, default_value = "2")]
    pub group_best: u64,
    /// A bias that only the choice sees (DeepSeek-V3)
    #[arg(long)]
    #[serde(default)]
    pub correction: bool,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// From logits to scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scores {
    /// Softmax over all experts, then the largest
    #[default]
    Softmax,
    /// The largest, then softmax over them
    TopKSoftmax,
    /// Sigmoid of each logit
    Sigmoid,
}

/// Both directions in which a score may be off by rounding before the choice of a token counts as clear.
const MARGIN: f64 = 1e-4;

impl RoutingCase {
    fn op(&self) -> Route {
        let groups = self.groups.zip(self.active_groups);
        Route {
            experts: self.experts,
            active: self.active,
            scoring: match self.scoring {
                Scores::Softmax => Scoring::Softmax,
                Scores::TopKSoftmax => Scoring::TopKSoftmax,
                Scores::Sigmoid => Scoring::Sigmoid,
            },
            normalise: !self.unnormalised,
            groups: groups.map(|(count, active)| Groups { count, active, best: self.group_best }),
            scaling: self.scaling,
            correction: self.correction,
        }
    }

    fn routes<S: Scalar>(op: &Route, logits: &[f64], correction: &[f64]) -> Vec<f64> {
        let (experts, width) = (op.experts as usize, 2 * op.active as usize);
        let tokens = logits.len() / experts;
        let step = Step::prefill(1, tokens as u64).expect("invariant: a checked case has a step");
        let (logits, correction) = (of::<S>(logits), of::<S>(correction));
        let operands: [(&[S], usize); 2] = [(&logits, experts), (&correction, experts)];
        let operands = &operands[..1 + usize::from(op.correction)];
        values(&run(op, &step, operands, (tokens, width)))
    }

    /// Expert numbers and weights apart.
    fn split(&self, routes: &[f64]) -> Outputs {
        let k = self.active as usize;
        let part = |first: usize| {
            routes.chunks_exact(2 * k).flat_map(|row| row[first..first + k].to_vec()).collect()
        };
        vec![part(0), part(k)]
    }

    fn by(&self, op: &Route, inputs: &Inputs, precision: Precision) -> Outputs {
        let logits = inputs.of("logits");
        let none = vec![0.0; self.experts as usize];
        let correction = if self.correction { inputs.of("correction") } else { &none };
        self.split(&match precision {
            Precision::Exact => Self::routes::<f64>(op, logits, correction),
            Precision::Kernel => Self::routes::<f32>(op, logits, correction),
        })
    }

    /// Whether no rounding changes the choice of a token.
    fn is_clear(&self, logits: &[f64], correction: &[f64]) -> bool {
        let chosen = |logits: &[f64]| {
            let routes = Self::routes::<f64>(&self.op(), logits, correction);
            routes[..self.active as usize].to_vec()
        };
        let (right, tilted) = (chosen(logits), |seed: usize| -> Vec<f64> {
            let sign = |i: usize| {
                if ((i + 1) * (seed + 1) * 7919 / 64).is_multiple_of(2) { 1.0 } else { -1.0 }
            };
            logits.iter().enumerate().map(|(i, l)| l + sign(i) * MARGIN).collect()
        });
        (0..8).all(|seed| chosen(&tilted(seed)) == right)
    }

    fn layout(&self, name: &str, says: &'static str, stored: Stored) -> Layout {
        Layout::new(name, says, [("token", self.tokens), ("choice", self.active)], stored)
    }
}

impl Case for RoutingCase {
    fn check(&self) -> Result<(), CaseError> {
        let Self { tokens, experts, active, .. } = *self;
        let named = [("tokens", tokens), ("experts", experts), ("active", active)];
        sizes(&named, 10.0 * tokens as f64 * experts as f64)?;
        let number = |why: String| Err(CaseError::Number(why));
        if active > experts {
            return number(format!("active is {active}, above the {experts} experts"));
        }
        if !self.scaling.is_finite() {
            return number("scaling is not finite".to_owned());
        }
        let Some(groups) = self.op().groups else { return Ok(()) };
        sizes(&[("groups", groups.count), ("active_groups", groups.active)], 1.0)?;
        if !experts.is_multiple_of(groups.count) {
            return number(format!("{experts} experts are no {} groups of one size", groups.count));
        }
        let size = experts / groups.count;
        if groups.active > groups.count || groups.active * size < active {
            return number(format!(
                "{active} experts are not in {} of {} groups of {size}",
                groups.active, groups.count
            ));
        }
        if !(1..=size).contains(&groups.best) {
            return number(format!("group_best is {}, not 1 to {size}", groups.best));
        }
        Ok(())
    }

    fn title(&self) -> String {
        let Self { tokens, experts, active, .. } = self;
        format!(
            "routing of {tokens} tokens to {active} of {experts} experts, {}",
            self.op().scoring.name()
        )
    }

    fn conventions(&self) -> Vec<String> {
        let op = self.op();
        let scores = match op.scoring {
            Scoring::Softmax => "Scores are the softmax of a token's logits.",
            Scoring::TopKSoftmax => {
                "The largest logits are chosen; scores are the softmax of those alone."
            }
            Scoring::Sigmoid => "Scores are the sigmoids of a token's logits.",
        };
        let mut lines = vec![scores.to_owned(), "The best expert stands first.".to_owned()];
        if op.correction {
            lines.push("The correction is added for the choice, not in the weights.".to_owned());
        }
        if let Some(g) = op.groups {
            lines.push(format!(
                "Experts are in {} groups of neighbours; a token chooses in the {} groups whose {} best \
                 add up to most.",
                g.count, g.active, g.best
            ));
        }
        let sum = if op.normalise { ", divided by their sum" } else { "" };
        lines.push(format!("Weights are the chosen scores{sum}, times {}.", op.scaling));
        lines
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let stored = Stored::Float(Float::FP32);
        let says = "a score for the choice";
        let correction = random.scaled(
            Layout::new("correction", says, [("expert", self.experts)], stored),
            0.0,
            0.2,
        );
        let axes = [("token", self.tokens), ("expert", self.experts)];
        let layout = Layout::new(
            "logits",
            "the router's output, no choice so close that rounding in f32 decides it",
            axes,
            stored,
        );
        let row = Layout::new("row", "", [("expert", self.experts)], stored);
        let mut values = vec![];
        for _ in 0..self.tokens {
            let mut draw = || random.scaled(row.clone(), 0.0, 2.0).values;
            let drawn = (0..64).map(|_| draw()).find(|l| self.is_clear(l, &correction.values));
            values.extend(drawn.unwrap_or_else(draw));
        }
        let mut arrays = vec![Array { layout, values }];
        if self.correction {
            arrays.push(correction);
        }
        Inputs(arrays)
    }

    fn outputs(&self) -> Vec<Output> {
        let experts = self.layout("experts", "numbers of the experts", Stored::Integer(Kind::I32));
        let weights = self.layout("weights", "their weights", Stored::Float(Float::FP32));
        vec![
            Output { layout: experts, discrete: true },
            Output { layout: weights, discrete: false },
        ]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.by(&self.op(), inputs, precision)
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        let other = |name, says, change: fn(&mut Route)| {
            let mut op = self.op();
            change(&mut op);
            Mutant::new(name, says, move |inputs, p| self.by(&op, inputs, p))
        };
        let mut mutants = vec![
            other(
                "normalisation",
                "weights are divided by their sum, or not, against the rule",
                |r| {
                    r.normalise = !r.normalise;
                },
            ),
            other("softmax", "scores are the softmax of all logits", |r| {
                r.scoring = Scoring::Softmax
            }),
            other("softmax-behind", "scores are the softmax of the chosen logits", |r| {
                r.scoring = Scoring::TopKSoftmax;
            }),
            other("sigmoid", "scores are sigmoids", |r| r.scoring = Scoring::Sigmoid),
            other("scaling-missing", "weights are not scaled", |r| r.scaling = 1.0),
            other("correction-missing", "the correction is not added", |r| r.correction = false),
            other("expert-groups-missing", "experts of all groups are chosen", |r| r.groups = None),
            other(
                "group-best",
                "groups are judged by one expert, or by two, against the rule",
                |r| {
                    if let Some(groups) = &mut r.groups {
                        groups.best = if groups.best == 1 { 2 } else { 1 };
                    }
                },
            ),
        ];
        mutants.push(Mutant::new(
            "correction-in-weights",
            "weights have the correction in them",
            |inputs, p| self.corrected(inputs, p),
        ));
        mutants.push(Mutant::new("smallest", "the smallest scores are chosen", |inputs, p| {
            let turned = inputs.of("logits").iter().map(|l| -l).collect();
            self.eval(&inputs.with("logits", turned), p)
        }));
        mutants.push(Mutant::new(
            "experts-plus-1",
            "numbers of experts start at 1",
            |inputs, p| {
                let out = self.eval(inputs, p);
                vec![out[0].iter().map(|e| e + 1.0).collect(), out[1].clone()]
            },
        ));
        mutants.push(Mutant::new("worst-first", "the best expert stands last", |inputs, p| {
            let turned = |rows: &Vec<f64>| {
                let rows = rows.chunks_exact(self.active as usize);
                rows.flat_map(|row| row.iter().rev().copied()).collect()
            };
            self.eval(inputs, p).iter().map(turned).collect()
        }));
        mutants.push(Mutant::new(
            "neighbour",
            "a token has the experts of the one before",
            |inputs, p| {
                let turned = |rows: &Vec<f64>| {
                    let mut rows = rows.clone();
                    rows.rotate_right(self.active as usize);
                    rows
                };
                self.eval(inputs, p).iter().map(turned).collect()
            },
        ));
        mutants
    }
}

impl RoutingCase {
    /// Chosen as is right, weighed by score and correction.
    fn corrected(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        let mut out = self.eval(inputs, precision);
        if !self.correction {
            return out;
        }
        let plain = Route { normalise: false, scaling: 1.0, ..self.op() };
        let scores = self.by(&plain, inputs, precision);
        let (correction, k) = (inputs.of("correction"), self.active as usize);
        let rows = scores[0].chunks_exact(k).zip(scores[1].chunks_exact(k));
        out[1] = rows
            .flat_map(|(experts, scores)| {
                let raw = experts.iter().zip(scores).map(|(&e, s)| s + correction[e as usize]);
                let raw: Vec<f64> = raw.collect();
                let sum = if self.unnormalised { 1.0 } else { raw.iter().sum() };
                raw.into_iter().map(|w| w / sum * self.scaling).collect::<Vec<_>>()
            })
            .collect();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;

    #[test]
    fn bugs_are_told_apart() {
        let plain = RoutingCase {
            tokens: 12,
            experts: 16,
            active: 3,
            scoring: Scores::Softmax,
            unnormalised: false,
            scaling: 1.0,
            groups: None,
            active_groups: None,
            group_best: 2,
            correction: false,
            seed: 3,
        };
        let deepseek = RoutingCase {
            scoring: Scores::Sigmoid,
            scaling: 2.5,
            groups: Some(4),
            active_groups: Some(2),
            correction: true,
            ..plain.clone()
        };
        let cases = [
            RoutingCase { scoring: Scores::TopKSoftmax, unnormalised: true, ..plain.clone() },
            RoutingCase { unnormalised: true, scaling: 16.0, ..plain.clone() },
            RoutingCase { tokens: 1, group_best: 1, ..deepseek.clone() },
            RoutingCase { unnormalised: true, ..deepseek.clone() },
            plain,
            deepseek,
        ];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }
}
