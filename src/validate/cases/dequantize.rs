//! Cases of reading packed matrices: the numbers that codes and scales stand for.

use super::dtype::Dtype;
use super::packed::{MISREAD, Misread, Packed};
use super::random::Random;
use crate::validate::case::sizes;
use crate::validate::{Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision};
use serde::{Deserialize, Serialize};

/// Dequantization of a matrix.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DequantizeCase {
    /// Rows
    #[arg(long, default_value = "37")]
    pub rows: u64,
    /// Elements of a row
    #[arg(long, default_value = "256")]
    pub width: u64,
    /// Format of the matrix: fp8-e4m3, int8, int4, int4-zp, mxfp4, nvfp4, gguf-q4_0, gguf-q4_k, ...
    #[arg(long, default_value = "int4-zp")]
    pub format: Packed,
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

impl DequantizeCase {
    fn with(&self, inputs: &Inputs, misread: Misread, precision: Precision) -> Outputs {
        let numbers = self.format.numbers(inputs, "x", (self.rows, self.width), misread);
        vec![match precision {
            Precision::Exact => numbers,
            Precision::Kernel => numbers
                .into_iter()
                .map(|x| self.dtype.stored().round(f64::from(x as f32)))
                .collect(),
        }]
    }
}

impl Case for DequantizeCase {
    fn check(&self) -> Result<(), CaseError> {
        let named = [("rows", self.rows), ("width", self.width)];
        sizes(&named, self.rows as f64 * self.width as f64)?;
        let group = self.format.group(self.width).max(1);
        if !self.width.is_multiple_of(group) {
            let why = format!("width is {}, no multiple of {group}", self.width);
            return Err(CaseError::Number(why));
        }
        Ok(())
    }

    fn title(&self) -> String {
        let Self { rows, width, format, dtype, .. } = self;
        format!("dequantize, {rows} x {width} in {format}, output {dtype}")
    }

    fn conventions(&self) -> Vec<String> {
        vec![self.format.says("x"), "The result is rounded once.".to_owned()]
    }

    fn inputs(&self) -> Inputs {
        let axes = [("row", self.rows), ("element", self.width)];
        Inputs(self.format.arrays(&mut Random::new(self.seed), "x", "the matrix", axes))
    }

    fn outputs(&self) -> Vec<Output> {
        let axes = [("row", self.rows), ("element", self.width)];
        let layout = Layout::new("out", "the numbers", axes, self.dtype.stored());
        vec![Output { layout, discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.with(inputs, Misread::Nothing, precision)
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        let of = |&(name, says, misread): &(&'static str, &'static str, Misread)| {
            Mutant::new(name, says, move |inputs: &Inputs, p| self.with(inputs, misread, p))
        };
        let mut mutants: Vec<Mutant<'_>> = MISREAD.iter().map(of).collect();
        mutants.push(Mutant::new(
            "transposed",
            "the output is written as [width, rows]",
            |inputs, p| {
                let out = self.eval(inputs, p).remove(0);
                let (rows, width) = (self.rows as usize, self.width as usize);
                vec![
                    (0..width)
                        .flat_map(|c| out.iter().skip(c).step_by(width).take(rows).copied())
                        .collect(),
                ]
            },
        ));
        mutants
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;

    #[test]
    fn bugs_are_told_apart() {
        let formats = [
            ("fp8-e4m3", Dtype::Bf16),
            ("fp8-e5m2", Dtype::Fp32),
            ("int8", Dtype::Bf16),
            ("int4", Dtype::Fp16),
            ("int4-zp", Dtype::Bf16),
            ("mxfp8", Dtype::Fp32),
            ("mxfp4", Dtype::Bf16),
            ("nvfp4", Dtype::Bf16),
            ("gguf-q4_0", Dtype::Fp32),
            ("gguf-q4_1", Dtype::Bf16),
            ("gguf-q4_k", Dtype::Fp32),
            ("gguf-q5_k", Dtype::Fp32),
            ("gguf-iq4_xs", Dtype::Bf16),
        ];
        let cases = formats.map(|(name, dtype)| {
            let format = name.parse().expect("a format");
            DequantizeCase { rows: 5, width: 256, format, dtype, seed: 3 }
        });
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }
}
