//! Choosing the experts of each token.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, TensorType, WeightKind};

/// How logits of the router become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// Softmax over all experts, then the largest (Mixtral, Qwen3-MoE, DeepSeek-V2).
    Softmax,
    /// The largest, then softmax over them (gpt-oss).
    TopKSoftmax,
    /// Sigmoid of each logit (DeepSeek-V3).
    Sigmoid,
}

impl Scoring {
    /// Lower-case name, as in YAML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::TopKSoftmax => "top-k-softmax",
            Self::Sigmoid => "sigmoid",
        }
    }
}

/// Experts in groups of equal size, of which a token chooses first (DeepSeek-V2, arXiv 2405.04434).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Groups {
    /// Groups (G); divides the experts.
    pub count: u64,
    /// Groups that a token may choose experts of.
    pub active: u64,
    /// A group is as good as the sum of so many of its best experts: 1 in DeepSeek-V2, 2 in V3.
    pub best: u64,
}

/// The `k` experts of each token and their weights.
///
/// Shapes: `logits: [T, E]`, with a correction `c: [1, E]`; result `[T, 2 k]`: `k` expert numbers,
/// best first, and behind them their weights. The experts are the `k` largest of `score + c` in the
/// best groups, the first among equals; the weights are their scores, divided by their sum where
/// normalised, times `scaling`.
///
/// Work per token: softmax `3 E` vector, `E + 1` special, over the chosen ones `3 k` and `k + 1`;
/// sigmoid `E` and `2 E`; correction `E` vector; groups `G (best - 1)` vector; normalisation `2 k`
/// vector and 1 special; scaling other than 1 `k` vector. Comparisons are free.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Experts to choose from (E).
    pub experts: u64,
    /// Experts per token (k).
    pub active: u64,
    /// From logits to scores.
    pub scoring: Scoring,
    /// The weights of a token are divided by their sum.
    pub normalise: bool,
    /// Groups to choose first.
    pub groups: Option<Groups>,
    /// Factor of the weights.
    pub scaling: f64,
    /// Whether a bias that only the choice sees is the second operand (arXiv 2408.15664).
    pub correction: bool,
}

impl Operator for Route {
    const NAME: &'static str = "route";
    const FORMULA: &'static str =
        "per token the k experts with the largest scores, and their weights: scaling s_e / sum s";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let expected = [
            ("logits", TensorType::activation(Dim::Tokens, self.experts)),
            ("c", TensorType::weight(WeightKind::Bias, 1, self.experts)),
        ];
        check(Self::NAME, operands, &expected[..1 + usize::from(self.correction)])?;
        Ok(TensorType::activation(Dim::Tokens, 2 * self.active))
    }

    fn work(&self, step: &Step) -> Work {
        let (tokens, all, k) = (step.tokens(), self.experts as f64, self.active as f64);
        let when = |on: bool, count: f64| if on { count } else { 0.0 };
        let (vector, special) = match self.scoring {
            Scoring::Softmax => (3.0 * all, all + 1.0),
            Scoring::TopKSoftmax => (3.0 * k, k + 1.0),
            Scoring::Sigmoid => (all, 2.0 * all),
        };
        let groups = self.groups.map_or(0.0, |g| g.count as f64 * (g.best as f64 - 1.0));
        let vector = vector
            + when(self.correction, all)
            + groups
            + when(self.normalise, 2.0 * k)
            + when(self.scaling != 1.0, k);
        Work {
            vector: tokens * vector,
            special: tokens * (special + when(self.normalise, 1.0)),
            reads: [tokens * all, when(self.correction, all), 0.0],
            writes: tokens * 2.0 * k,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let k = self.active as usize;
        for t in 0..step.tokens() as usize {
            let logits: Vec<S> = (0..self.experts as usize).map(|e| operands[0].at(t, e)).collect();
            let correction = |e| operands[1].at(0, e);
            let chosen = S::on(Engine::Vector, || self.choose(&logits, correction));
            for (j, (expert, weight)) in chosen.into_iter().enumerate() {
                out.set(t, j, S::constant(expert as f64));
                out.set(t, k + j, weight);
            }
        }
    }
}

impl Route {
    /// The experts of one token with their weights, best first.
    fn choose<S: Scalar>(&self, logits: &[S], correction: impl Fn(usize) -> S) -> Vec<(usize, S)> {
        let scores: Vec<S> = match self.scoring {
            Scoring::Softmax => softmax(logits),
            Scoring::TopKSoftmax => logits.to_vec(),
            Scoring::Sigmoid => logits.iter().map(|&x| sigmoid(x)).collect(),
        };
        let choice: Vec<S> = match self.correction {
            true => scores.iter().enumerate().map(|(e, &s)| s + correction(e)).collect(),
            false => scores.clone(),
        };
        let experts = largest(&choice, &self.candidates(&choice), self.active as usize);
        let mut weights: Vec<S> = experts.iter().map(|&e| scores[e]).collect();
        if self.scoring == Scoring::TopKSoftmax {
            weights = softmax(&weights);
        }
        if self.normalise {
            let inverse = S::constant(1.0) / sum(&weights);
            weights = weights.into_iter().map(|w| w * inverse).collect();
        }
        if self.scaling != 1.0 {
            let scaling = S::constant(self.scaling);
            weights = weights.into_iter().map(|w| w * scaling).collect();
        }
        experts.into_iter().zip(weights).collect()
    }

    /// The experts that may be chosen: all, or those of the best groups.
    fn candidates<S: Scalar>(&self, choice: &[S]) -> Vec<usize> {
        let Some(groups) = self.groups else { return (0..choice.len()).collect() };
        let size = choice.len() / groups.count as usize;
        let members = |group: usize| -> Vec<usize> { (group * size..(group + 1) * size).collect() };
        let all: Vec<usize> = (0..groups.count as usize).collect();
        let value = |&group: &usize| {
            let best = largest(choice, &members(group), groups.best as usize);
            let values = best.into_iter().map(|e| choice[e]);
            values.reduce(|sum, v| sum + v).expect("invariant: a group has a best expert")
        };
        let values: Vec<S> = all.iter().map(value).collect();
        let mut kept = largest(&values, &all, groups.active as usize);
        kept.sort_unstable();
        kept.into_iter().flat_map(members).collect()
    }
}

/// The `count` candidates with the largest values, largest first, the first among equals.
fn largest<S: Scalar>(values: &[S], candidates: &[usize], count: usize) -> Vec<usize> {
    let mut left = candidates.to_vec();
    let mut chosen = vec![];
    for _ in 0..count.min(candidates.len()) {
        let better =
            |best: usize, i: usize| if values[left[i]] > values[left[best]] { i } else { best };
        let best = (1..left.len()).fold(0, better);
        chosen.push(left.remove(best));
    }
    chosen
}

fn sum<S: Scalar>(values: &[S]) -> S {
    values.iter().fold(S::constant(0.0), |sum, &v| sum + v)
}

fn softmax<S: Scalar>(logits: &[S]) -> Vec<S> {
    let max = logits.iter().copied().reduce(S::maximum).expect("invariant: at least one expert");
    let exps: Vec<S> = logits.iter().map(|&l| (l - max).exp()).collect();
    let inverse = S::constant(1.0) / sum(&exps);
    exps.into_iter().map(|e| e * inverse).collect()
}

fn sigmoid<S: Scalar>(x: S) -> S {
    S::constant(1.0) / (S::constant(1.0) + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(route: &Route, logits: &[f64], correction: &[f64]) -> Vec<f64> {
        let step = Step::decode(1, 1).expect("valid");
        let operands = [Operand::new(logits, logits.len()), Operand::new(correction, logits.len())];
        let mut out = vec![f64::NAN; 2 * route.active as usize];
        let width = out.len();
        route.eval(&step, &operands, &mut Target::new(&mut out, width));
        out
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?} {expected:?}");
        }
    }

    const ROUTE: Route = Route {
        experts: 4,
        active: 2,
        scoring: Scoring::Softmax,
        normalise: true,
        groups: None,
        scaling: 1.0,
        correction: false,
    };

    /// Logits ln 1, ln 4, ln 2, ln 3: softmax 0.1, 0.4, 0.2, 0.3; the largest are experts 1 and 3,
    /// renormalised 4/7 and 3/7.
    #[test]
    fn softmax_takes_the_largest_and_renormalises() {
        let logits = [1f64, 4.0, 2.0, 3.0].map(f64::ln);
        close(&routed(&ROUTE, &logits, &[]), &[1.0, 3.0, 4.0 / 7.0, 3.0 / 7.0]);
        let plain = Route { normalise: false, scaling: 10.0, ..ROUTE };
        close(&routed(&plain, &logits, &[]), &[1.0, 3.0, 4.0, 3.0]);
        // Softmax over the chosen ones is the same as renormalising behind a softmax over all.
        let after = Route { scoring: Scoring::TopKSoftmax, normalise: false, ..ROUTE };
        close(&routed(&after, &logits, &[]), &[1.0, 3.0, 4.0 / 7.0, 3.0 / 7.0]);
    }

    /// Scores (sigmoid of ln(s / (1 - s))) 0.5, 0.1 | 0.4, 0.3 | 0.8, 0.05, with a correction of
    /// -0.6 on expert 4. Groups by their two best corrected scores: 0.6, 0.7, 0.25, so experts 0 to
    /// 3 remain. The best two are 0 and 2 with weights 0.5/0.9 and 0.4/0.9, times 2.5.
    #[test]
    fn sigmoid_chooses_groups_first_and_weighs_by_uncorrected_scores() {
        let logits = [0.5, 0.1, 0.4, 0.3, 0.8, 0.05].map(|s: f64| (s / (1.0 - s)).ln());
        let route = Route {
            experts: 6,
            scoring: Scoring::Sigmoid,
            groups: Some(Groups { count: 3, active: 2, best: 2 }),
            scaling: 2.5,
            correction: true,
            ..ROUTE
        };
        let correction = [0.0, 0.0, 0.0, 0.0, -0.6, 0.0];
        let expected = [0.0, 2.0, 2.5 * 0.5 / 0.9, 2.5 * 0.4 / 0.9];
        close(&routed(&route, &logits, &correction), &expected);
        // Without the correction, group 2 has 0.85 and expert 4 is the best of all.
        let expected = [4.0, 2.0, 2.5 * 0.8 / 1.2, 2.5 * 0.4 / 1.2];
        close(&routed(&route, &logits, &[0.0; 6]), &expected);
        // A group by its best expert alone: groups 2 (0.8) and 0 (0.5).
        let by_best = Route { groups: Some(Groups { count: 3, active: 2, best: 1 }), ..route };
        let expected = [4.0, 0.0, 2.5 * 0.8 / 1.3, 2.5 * 0.5 / 1.3];
        close(&routed(&by_best, &logits, &[0.0; 6]), &expected);
    }
}
