//! Rotary position embedding (Su et al., arXiv 2104.09864).

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Place, Split, SplitError, common_columns};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Step, Stripe, TensorType};
use std::f64::consts::PI;

/// Which two elements of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// `i` with `i + R/2` (GPT-NeoX, Llama as Hugging Face stores it).
    Half,
    /// `2i` with `2i + 1` (GPT-J, Llama as Meta stores it).
    Interleaved,
}

impl Pairing {
    /// Lower-case name, as in YAML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Half => "half",
            Self::Interleaved => "interleaved",
        }
    }
}

/// How frequencies are stretched for contexts beyond the trained one.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// All frequencies divided by `factor`.
    Linear {
        /// Stretch.
        factor: f64,
    },
    /// Long wavelengths stretched, short ones kept, a ramp between (Llama 3.1).
    Llama3 {
        /// Stretch of long wavelengths.
        factor: f64,
        /// Wavelengths above `original_context / low_freq_factor` are stretched.
        low_freq_factor: f64,
        /// Wavelengths below `original_context / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Trained context, tokens.
        original_context: u64,
    },
    /// NTK by parts with attention temperature (Peng et al., arXiv 2309.00071).
    Yarn {
        /// Stretch.
        factor: f64,
        /// Trained context, tokens.
        original_context: u64,
        /// Rotations above which a dimension is kept.
        beta_fast: f64,
        /// Rotations below which a dimension is stretched.
        beta_slow: f64,
        /// Factor on sine and cosine.
        attention_factor: f64,
        /// The ramp begins and ends at whole dimensions (gpt-oss: it does not).
        truncate: bool,
    },
    /// Each frequency divided by a number of its own, of one table where all sequences of a step are
    /// within the trained context and of another where one is longer (Ding et al., arXiv 2402.13753;
    /// A121).
    LongRope {
        /// R/2 divisors within the trained context.
        short: Vec<f64>,
        /// R/2 divisors beyond it.
        long: Vec<f64>,
        /// Trained context, tokens.
        original_context: u64,
        /// Factor on sine and cosine.
        attention_factor: f64,
    },
    /// Each frequency divided by a number of its own (llama.cpp's `rope_freqs`).
    Table {
        /// R/2 divisors.
        divisors: Vec<f64>,
    },
}

/// Turns pairs of the first R elements of each head by `position * frequency`.
///
/// `(a, b) -> (a cos - b sin, b cos + a sin)`. Shapes: `x, y: [T, H Dh]`. Work: per token and
/// pair 1 vector and 2 special operations for the angle (2 vector more under YaRN's or LongRoPE's factor),
/// shared by the heads (A19); per head 6 vector operations a pair. Elements beyond R pass unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Heads (H).
    pub heads: u64,
    /// Elements of a head (Dh).
    pub head_dim: u64,
    /// Elements that turn (R), even.
    pub rotary_dim: u64,
    /// Base of the frequencies.
    pub theta: f64,
    /// Which elements pair.
    pub pairing: Pairing,
    /// Stretching of frequencies.
    pub scaling: Option<RopeScaling>,
    /// Positions of the tokens.
    pub stripe: Stripe,
}

impl Rope {
    /// Radians per position of pair `i` in a step whose longest sequence has `length` tokens:
    /// `theta^(-2i/R)`, stretched.
    pub fn frequency(&self, i: u64, length: u64) -> f64 {
        let r = self.rotary_dim as f64;
        let base = self.theta.powf(-2.0 * i as f64 / r);
        match self.scaling {
            None => base,
            Some(RopeScaling::LongRope { ref short, ref long, original_context, .. }) => {
                base / if length > original_context { long } else { short }[i as usize]
            }
            Some(RopeScaling::Table { ref divisors }) => base / divisors[i as usize],
            Some(RopeScaling::Linear { factor }) => base / factor,
            Some(RopeScaling::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_context,
            }) => {
                let turns = original_context as f64 * base / (2.0 * PI);
                let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                base * (keep + (1.0 - keep) / factor)
            }
            Some(RopeScaling::Yarn {
                factor,
                original_context,
                beta_fast,
                beta_slow,
                truncate,
                ..
            }) => {
                let dimension = |rotations: f64| {
                    r * (original_context as f64 / (rotations * 2.0 * PI)).ln()
                        / (2.0 * self.theta.ln())
                };
                let (first, last) = (dimension(beta_fast), dimension(beta_slow));
                let whole = |x: f64, to: fn(f64) -> f64| if truncate { to(x) } else { x };
                let first = whole(first, f64::floor).max(0.0);
                let last = whole(last, f64::ceil).min(r - 1.0).max(first + 1e-3);
                let stretch = ((i as f64 - first) / (last - first)).clamp(0.0, 1.0);
                base * ((1.0 - stretch) + stretch / factor)
            }
        }
    }

    fn attention_factor(&self) -> Option<f64> {
        match self.scaling {
            Some(
                RopeScaling::Yarn { attention_factor, .. }
                | RopeScaling::LongRope { attention_factor, .. },
            ) => Some(attention_factor),
            _ => None,
        }
    }

    fn pair(&self, i: usize) -> (usize, usize) {
        match self.pairing {
            Pairing::Half => (i, i + self.rotary_dim as usize / 2),
            Pairing::Interleaved => (2 * i, 2 * i + 1),
        }
    }

    /// Tokens of the longest sequence of a step; of all ranks, where positions are dealt in turn.
    fn length(&self, step: &Step) -> u64 {
        step.groups().iter().map(|g| (g.past + g.new) * self.stripe.of).max().unwrap_or(0)
    }

    /// Cosine and sine at `position` of the pair of a frequency.
    fn turn<S: Scalar>(&self, position: usize, frequency: f64) -> (S, S) {
        S::on(Engine::Vector, || {
            let angle = S::constant(position as f64) * S::constant(frequency);
            let (cos, sin) = (angle.cos(), angle.sin());
            match self.attention_factor() {
                Some(f) => (cos * S::constant(f), sin * S::constant(f)),
                None => (cos, sin),
            }
        })
    }
}

impl Operator for Rope {
    const NAME: &'static str = "rope";
    const FORMULA: &'static str = "(a, b) -> (a cos - b sin, b cos + a sin) with angle position theta^(-2i/R); per token and pair 6 H + 1 vector and 2 special operations";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let x = TensorType::activation(Dim::Tokens, self.heads * self.head_dim);
        check(Self::NAME, operands, &[("x", x)])?;
        Ok(x)
    }

    fn work(&self, step: &Step) -> Work {
        let pairs = step.tokens() * (self.rotary_dim / 2) as f64;
        let heads = self.heads as f64;
        let angle = if self.attention_factor().is_some() { 3.0 } else { 1.0 };
        let elements = step.tokens() * heads * self.head_dim as f64;
        Work {
            vector: pairs * (angle + 6.0 * heads),
            special: 2.0 * pairs,
            reads: [elements, 0.0, 0.0],
            writes: elements,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let x = &operands[0];
        let length = self.length(step);
        let frequencies: Vec<f64> =
            (0..self.rotary_dim / 2).map(|i| self.frequency(i, length)).collect();
        for s in step.sequences() {
            for (t, own) in (s.first_token..).zip(s.past..s.past + s.new) {
                let position = self.stripe.position(own);
                for (i, &frequency) in frequencies.iter().enumerate() {
                    let (cos, sin) = self.turn::<S>(position, frequency);
                    let (left, right) = self.pair(i);
                    for first in (0..self.heads as usize).map(|h| h * self.head_dim as usize) {
                        let (a, b) = (x.at(t, first + left), x.at(t, first + right));
                        S::on(Engine::Vector, || {
                            out.set(t, first + left, a * cos - b * sin);
                            out.set(t, first + right, b * cos + a * sin);
                        });
                    }
                }
                for first in (0..self.heads as usize).map(|h| h * self.head_dim as usize) {
                    for d in self.rotary_dim as usize..self.head_dim as usize {
                        out.set(t, first + d, x.at(t, first + d));
                    }
                }
            }
        }
    }

    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let layout = common_columns(operands);
        let heads = self.heads / layout.column_parts();
        Ok(Split::alike(Self { heads, ..self.clone() }, 1, layout))
    }

    fn groups(&self, _: usize) -> Option<u64> {
        Some(self.heads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// gpt-oss (`gpt_oss/torch/model.py`): the ramp over pairs runs from
    /// `R/2 ln(L / (32 2 pi)) / ln theta` to `R/2 ln(L / (2 pi)) / ln theta`, unrounded.
    #[test]
    fn an_untruncated_ramp_begins_between_pairs() {
        let frequencies = |truncate| {
            let scaling = RopeScaling::Yarn {
                factor: 32.0,
                original_context: 4096,
                beta_fast: 32.0,
                beta_slow: 1.0,
                attention_factor: 1.0,
                truncate,
            };
            let (pairing, scaling) = (Pairing::Half, Some(scaling));
            let (heads, head_dim, rotary_dim) = (1, 64, 64);
            let (theta, stripe) = (150_000.0, Stripe::ALL);
            let rope = Rope { heads, head_dim, rotary_dim, theta, pairing, scaling, stripe };
            (0..32).map(|i| rope.frequency(i, 1)).collect::<Vec<f64>>()
        };
        let base = |i: i32| 150_000f64.powf(-f64::from(i) / 32.0);
        let (exact, rounded) = (frequencies(false), frequencies(true));
        let (first, last) = (8.092_779, 17.398_025);
        let ramp = (9.0 - first) / (last - first);
        let expected = base(9) * (1.0 - ramp) + base(9) / 32.0 * ramp;
        assert!((exact[9] / expected - 1.0).abs() < 1e-6, "{} {expected}", exact[9]);
        assert!((rounded[9] / exact[9] - 1.0).abs() > 1e-3);
        for (i, at) in [(0, 1.0), (8, 1.0), (18, 1.0 / 32.0), (31, 1.0 / 32.0)] {
            assert!((exact[i as usize] / (base(i) * at) - 1.0).abs() < 1e-12, "{i}");
        }
    }
}
