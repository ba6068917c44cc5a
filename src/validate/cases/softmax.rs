//! Cases of softmax over rows.

use super::dtype::Dtype;
use super::evaluate::{Evaluated, of, rounded, run, values};
use super::random::Random;
use crate::codec::{Float, Overflow};
use crate::op::Softmax;
use crate::op::scalar::Scalar;
use crate::tensor::{Mask, Step};
use crate::validate::case::sizes;
use crate::validate::{
    Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored, Usual,
};
use serde::{Deserialize, Serialize};

/// Softmax of every row. The defaults show every known bug.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftmaxCase {
    /// Rows
    #[arg(long, default_value = "37")]
    pub rows: u64,
    /// Elements of a row
    #[arg(long, default_value = "333")]
    pub columns: u64,
    /// Format of input and output
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// Sizes of tiles that are tried where a bug depends on them.
const TILES: [usize; 4] = [32, 64, 128, 256];

impl SoftmaxCase {
    fn layout(&self, name: &str, says: &'static str) -> Layout {
        let axes = [("row", self.rows), ("column", self.columns)];
        Layout::new(name, says, axes, self.dtype.stored())
    }

    fn step(&self) -> Result<Step, crate::tensor::StepError> {
        Step::prefill(1, self.rows)?.with_source(self.columns)
    }

    /// What becomes of the output of a kernel that does other things with a row.
    fn by_row(
        &self,
        inputs: &Inputs,
        precision: Precision,
        row: impl Fn(&[f64]) -> Vec<f64>,
    ) -> Outputs {
        let rows = inputs.of("x").chunks_exact(self.columns as usize);
        let out = rows.flat_map(row).map(|x| match precision {
            Precision::Exact => x,
            Precision::Kernel => self.dtype.stored().round(x),
        });
        vec![out.collect()]
    }

    /// Bugs of online softmax, by size of the tiles.
    fn tiled(&self, tile: usize) -> [Mutant<'_>; 3] {
        let form = Some(format!("tiles of {tile}"));
        let unscaled = move |inputs: &Inputs, p| {
            self.by_row(inputs, p, |x| {
                // Each tile relative to the largest element so far, the sum never scaled down.
                let mut max = f64::NEG_INFINITY;
                let mut sum = 0.0;
                for part in x.chunks(tile) {
                    max = part.iter().copied().fold(max, f64::max);
                    sum += part.iter().map(|v| (v - max).exp()).sum::<f64>();
                }
                x.iter().map(|v| (v - max).exp() / sum).collect()
            })
        };
        let padded = move |inputs: &Inputs, p| {
            self.by_row(inputs, p, |x| {
                let zeros = x.len().next_multiple_of(tile) - x.len();
                softmax(&[x, &vec![0.0; zeros]].concat())[..x.len()].to_vec()
            })
        };
        let short = move |inputs: &Inputs, p| {
            self.by_row(inputs, p, |x| {
                let read = (x.len() - 1) / tile * tile;
                let mut out = softmax(&x[..read]);
                out.resize(x.len(), 0.0);
                out
            })
        };
        [
            Mutant {
                form: form.clone(),
                ..Mutant::new(
                    "rescale-missing",
                    "no rescale of the sum when the maximum grows",
                    unscaled,
                )
            },
            Mutant {
                form: form.clone(),
                ..Mutant::new(
                    "tail-unmasked",
                    "zeros behind the row count, up to a whole tile",
                    padded,
                )
            },
            Mutant { form, ..Mutant::new("tile-missing", "the last tile is not read", short) },
        ]
    }
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.iter().map(|v| (v - max).exp()).sum();
    x.iter().map(|v| (v - max).exp() / sum).collect()
}

impl Evaluated for SoftmaxCase {
    fn format(&self) -> Stored {
        self.dtype.stored()
    }

    fn evaluated<S: Scalar>(&self, inputs: &Inputs, format: Option<Stored>) -> Vec<f64> {
        let step = self.step().expect("invariant: a checked case has a step");
        let op = Softmax { heads: 1, mask: Mask::Cross, sinks: false };
        let x = of::<S>(inputs.of("x"));
        values(&rounded(format, run(&op, &step, &[(&x, 1)], (x.len(), 1))))
    }
}

impl Case for SoftmaxCase {
    fn check(&self) -> Result<(), CaseError> {
        sizes(
            &[("rows", self.rows), ("columns", self.columns)],
            (self.rows * self.columns) as f64,
        )?;
        Ok(self.step().map(|_| ())?)
    }

    fn title(&self) -> String {
        format!("softmax, {} rows of {}, {}", self.rows, self.columns, self.dtype)
    }

    fn conventions(&self) -> Vec<String> {
        vec![
            "The result is exp(x - max) / sum exp(x - max) over each row.".to_owned(),
            "Rows grow to the right, so that the maximum comes late.".to_owned(),
            "Every third row is so large that exp(x) overflows an fp32.".to_owned(),
        ]
    }

    fn inputs(&self) -> Inputs {
        let mut x = Random::new(self.seed).scaled(self.layout("x", "the input"), 0.0, 2.0);
        let columns = self.columns as usize;
        for (i, value) in x.values.iter_mut().enumerate() {
            let slope = 4.0 * (i % columns) as f64 / columns as f64;
            let large = if (i / columns) % 3 == 2 { 120.0 } else { 0.0 };
            *value = self.dtype.stored().round(*value + slope + large);
        }
        Inputs(vec![x])
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output { layout: self.layout("out", "the result"), discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.in_precision(inputs, precision)
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        let overflow = |inputs: &Inputs, p| {
            self.by_row(inputs, p, |x| {
                let exps: Vec<f64> = x.iter().map(|v| f64::from((*v as f32).exp())).collect();
                let sum = f64::from(exps.iter().sum::<f64>() as f32);
                exps.iter().map(|e| e / sum).collect()
            })
        };
        let base2 = |inputs: &Inputs, p| {
            self.by_row(inputs, p, |x| {
                softmax(&x.iter().map(|v| v * std::f64::consts::LN_2).collect::<Vec<_>>())
            })
        };
        let unnormalised = |inputs: &Inputs, p| {
            self.by_row(inputs, p, |x| {
                let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                x.iter().map(|v| (v - max).exp()).collect()
            })
        };
        let logarithm = |inputs: &Inputs, p| {
            self.by_row(inputs, p, |x| softmax(x).into_iter().map(f64::ln).collect())
        };
        let narrow = |inputs: &Inputs, p| {
            self.by_row(inputs, p, |x| {
                let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let add =
                    |sum: f64, v: &f64| Float::FP16.round(sum + (v - max).exp(), Overflow::Special);
                let sum = x.iter().fold(0.0, add);
                x.iter().map(|v| (v - max).exp() / sum).collect()
            })
        };
        let columns = |inputs: &Inputs, p| {
            let (rows, columns) = (self.rows as usize, self.columns as usize);
            let turned = |x: &[f64], rows: usize, columns: usize| -> Vec<f64> {
                (0..columns).flat_map(|c| (0..rows).map(move |r| x[r * columns + c])).collect()
            };
            let flipped = Self { rows: self.columns, columns: self.rows, ..self.clone() };
            let x = turned(inputs.of("x"), rows, columns);
            vec![turned(&flipped.eval(&inputs.with("x", x), p)[0], columns, rows)]
        };
        let mut mutants = vec![
            Mutant::new("max-missing", "the maximum is not subtracted", overflow),
            Mutant::new("exp2", "exp2 without the factor log2(e)", base2),
            Mutant::new("sum-missing", "not divided by the sum", unnormalised),
            Mutant::new("logarithm", "the logarithm of the result", logarithm),
            Mutant::new("columns", "over columns, not over rows", columns),
            Mutant::new("fp16-sums", "the sum is kept in fp16", narrow),
        ];
        // Forms of one bug stand together.
        let mut tiled: Vec<_> = TILES.into_iter().flat_map(|tile| self.tiled(tile)).collect();
        tiled.sort_by_key(|m| m.name);
        mutants.extend(tiled);
        mutants
    }

    fn usual(&self) -> Usual {
        Usual { nmse: 1e-6, ..Usual::PLAIN }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;

    #[test]
    fn bugs_are_told_apart() {
        let case = |rows, columns, dtype| SoftmaxCase { rows, columns, dtype, seed: 3 };
        let cases =
            [case(7, 333, Dtype::Bf16), case(7, 333, Dtype::Fp32), case(3, 4099, Dtype::Fp16)];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }
}
