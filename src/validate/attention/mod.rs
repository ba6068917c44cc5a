//! Cases of attention: seeded inputs, the truth by the graph's operators, schedules with known bugs.

mod diagnosis;
mod mutants;
mod schedule;

pub use diagnosis::{Diagnosis, Suspect, diagnose};
pub use mutants::{MUTANTS, Mutant};
pub use schedule::{Bugs, Schedule};

use super::Judged;
use super::verdict::error;
use crate::codec::{Float, Overflow};
use crate::op::scalar::Scalar;
use crate::op::{Operand, Operator, ScoreBias, Scores, Softmax, Target, WeightedSum};
use crate::tensor::{Mask, Step, StepError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Attention of `queries` tokens at the end of `keys` positions: causal, bottom-right aligned.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Query heads.
    pub heads: u64,
    /// Key and value heads, a divisor of them.
    pub kv_heads: u64,
    /// Elements of a head.
    pub head_dim: u64,
    /// Sequences.
    pub batch: u64,
    /// New tokens of each (Tq).
    pub queries: u64,
    /// Positions of each, the new ones included (Tkv).
    pub keys: u64,
    /// Keys that a query sees at most.
    pub window: Option<u64>,
    /// Soft cap of the scores.
    pub softcap: Option<f64>,
    /// Bias by distance (ALiBi).
    pub alibi: bool,
    /// A learned score per head that joins the sum.
    pub sinks: bool,
    /// Format of inputs, probabilities and output.
    pub format: Float,
    /// Of the inputs.
    pub seed: u64,
}

/// Why there is no such case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// Heads that cannot share.
    #[error("{heads} query heads cannot share {kv_heads} key heads")]
    Heads {
        /// Query heads.
        heads: u64,
        /// Key heads.
        kv_heads: u64,
    },
    /// More queries than keys.
    #[error("{queries} queries cannot end {keys} positions")]
    Keys {
        /// Queries.
        queries: u64,
        /// Positions.
        keys: u64,
    },
    /// A zero, or a number out of bounds.
    #[error("{0}")]
    Number(String),
    /// Sizes that no step has.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Most multiplications of a case: a minute or so on a core.
const LARGEST: f64 = 1e11;

/// Values of a case, exact in its format.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// `[batch, queries, heads, head_dim]`.
    pub q: Vec<f64>,
    /// `[batch, keys, kv_heads, head_dim]`.
    pub k: Vec<f64>,
    /// `[batch, keys, kv_heads, head_dim]`.
    pub v: Vec<f64>,
    /// `[heads]`, where the case has sinks.
    pub sinks: Vec<f64>,
}

/// What an output is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct References {
    /// The operators in f64.
    pub truth: Vec<f64>,
    /// The operators in the case's precision.
    pub emulated: Vec<f64>,
    /// Largest error of the emulations.
    pub error: f64,
}

impl Case {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Zeros, heads that cannot share, more queries than keys, a cap that is not above zero, sizes whose
    /// truth would take minutes.
    pub fn check(&self) -> Result<(), CaseError> {
        let Self { heads, kv_heads, head_dim, batch, queries, keys, .. } = *self;
        let sizes = [("heads", heads), ("kv_heads", kv_heads), ("head_dim", head_dim)];
        let sizes = sizes.into_iter().chain([("batch", batch), ("seq", queries), ("kv_seq", keys)]);
        for (name, size) in sizes.chain(self.window.map(|w| ("window", w))) {
            if !(1..=1 << 24).contains(&size) {
                return Err(CaseError::Number(format!("{name} is {size}, not 1 to 16777216")));
            }
        }
        if !heads.is_multiple_of(kv_heads) {
            return Err(CaseError::Heads { heads, kv_heads });
        }
        if queries > keys {
            return Err(CaseError::Keys { queries, keys });
        }
        if self.softcap.is_some_and(|c| !(c > 0.0 && c.is_finite())) {
            return Err(CaseError::Number("softcap is not a finite number above 0".to_owned()));
        }
        let products = [heads, head_dim, batch, queries.max(1), keys].map(|n| n as f64);
        if products.iter().product::<f64>() * 2.0 > LARGEST {
            let why = "the case needs more than 1e11 multiplications; take fewer heads or tokens";
            return Err(CaseError::Number(why.to_owned()));
        }
        self.step().map(|_| ()).map_err(CaseError::Step)
    }

    fn step(&self) -> Result<Step, StepError> {
        Step::chunked(self.batch, self.queries, self.keys - self.queries)
    }

    /// The operators' mask.
    pub const fn mask(&self) -> Mask {
        match self.window {
            Some(window) => Mask::Sliding { window },
            None => Mask::Causal,
        }
    }

    /// `1 / sqrt(head_dim)`.
    pub fn scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }

    /// Extents of queries and output.
    pub const fn query_shape(&self) -> [u64; 4] {
        [self.batch, self.queries, self.heads, self.head_dim]
    }

    /// Extents of keys and of values.
    pub const fn key_shape(&self) -> [u64; 4] {
        [self.batch, self.keys, self.kv_heads, self.head_dim]
    }

    /// The inputs of the seed: uniform with variance 1, rounded to the format.
    pub fn inputs(&self) -> Inputs {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let edge = 3f64.sqrt();
        let mut draw = |n: u64| -> Vec<f64> {
            let values = (0..n).map(|_| random.random_range(-edge..edge));
            values.map(|x| self.format.round(x, Overflow::Special)).collect()
        };
        let [q, k] = [self.query_shape(), self.key_shape()].map(|s| s.iter().product::<u64>());
        let (q, k, v) = (draw(q), draw(k), draw(k));
        Inputs { q, k, v, sinks: draw(if self.sinks { self.heads } else { 0 }) }
    }

    /// The output by the graph's operators in f64.
    pub fn truth(&self, inputs: &Inputs) -> Vec<f64> {
        self.evaluated::<f64>(inputs, None)
    }

    /// The output by the graph's operators in f32, with probabilities and output rounded to the format.
    pub fn emulated(&self, inputs: &Inputs) -> Vec<f64> {
        self.evaluated::<f32>(inputs, Some(self.format))
    }

    /// Truth and emulation, and the emulation's largest error: of the operators, or of the same in tiles of
    /// 64 keys, whose sums are in another order.
    pub fn references(&self, inputs: &Inputs) -> References {
        let (truth, emulated) = (self.truth(inputs), self.emulated(inputs));
        let format = Some(self.format);
        let tiled = Schedule { tile: 64, probabilities: format, output: format, ..Schedule::PLAIN };
        let tiled = tiled.run::<f32>(self, inputs);
        let error = error(&emulated, &truth).max(error(&tiled, &truth));
        References { truth, emulated, error }
    }

    /// An output beside the references.
    pub fn judged<'a>(&self, got: &'a [f64], references: &'a References) -> Judged<'a> {
        let References { truth, emulated, error } = references;
        let (width, format) = (self.head_dim as usize, self.format);
        Judged { got, truth, emulated, error: *error, width, format }
    }

    fn evaluated<S: Scalar>(&self, inputs: &Inputs, format: Option<Float>) -> Vec<f64> {
        let step = self.step().expect("invariant: a checked case has a step");
        let (mask, heads, kv_heads) = (self.mask(), self.heads, self.kv_heads);
        let head_dim = self.head_dim;
        let scores = Scores {
            heads,
            kv_heads,
            head_dim,
            mask,
            scale: self.scale(),
            softcap: self.softcap,
            bias: self.alibi.then_some(ScoreBias::Alibi),
        };
        let softmax = Softmax { heads, mask, sinks: self.sinks };
        let sum = WeightedSum { heads, kv_heads, head_dim, mask, expanded: false };
        let of = |values: &[f64]| -> Vec<S> { values.iter().map(|&x| S::constant(x)).collect() };
        let [q, k, v, sinks] = [&inputs.q, &inputs.k, &inputs.v, &inputs.sinks].map(|x| of(x));
        let [wide, narrow, h] = [heads * head_dim, kv_heads * head_dim, heads].map(|n| n as usize);
        let zero = S::constant(0.0);
        let mut s = vec![zero; step.pairs(mask) as usize * h];
        let operands = [Operand::new(&q, wide), Operand::new(&k, narrow)];
        scores.eval(&step, &operands, &mut Target::new(&mut s, h));
        let mut p = vec![zero; s.len()];
        let operands = [Operand::new(&s, h), Operand::new(&sinks, h)];
        softmax.eval(&step, &operands[..1 + usize::from(self.sinks)], &mut Target::new(&mut p, h));
        let round = |x: S| match format {
            Some(format) => S::constant(format.round(x.value(), Overflow::Special)),
            None => x,
        };
        p.iter_mut().for_each(|x| *x = round(*x));
        let mut out = vec![zero; q.len()];
        let operands = [Operand::new(&p, h), Operand::new(&v, narrow)];
        sum.eval(&step, &operands, &mut Target::new(&mut out, wide));
        out.into_iter().map(|x| round(x).value()).collect()
    }
}

#[cfg(test)]
mod tests;
