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
    /// Format of the matrix: fp8-e4m3, int8, int8-zp, int4, int4-zp, mxfp6-e2m3, mxfp4, nvfp4, gguf-q4_0, ...; what
    /// shares a scale of fp8, int8 or int4 behind it: -tensor, -channel, -g32, -g64, -g128, -b128
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
            ("gguf-mxfp4", Dtype::Bf16),
            ("gguf-nvfp4", Dtype::Fp32),
            ("mxfp6-e2m3", Dtype::Bf16),
            ("mxfp6-e3m2", Dtype::Fp32),
            ("mxfp8-e5m2", Dtype::Bf16),
            ("int4-g64", Dtype::Bf16),
            ("int4-zp-g128", Dtype::Fp16),
            ("int4-channel", Dtype::Bf16),
            ("int8-tensor", Dtype::Fp32),
            ("int8-zp", Dtype::Bf16),
            ("int8-zp-b128", Dtype::Fp32),
        ];
        let cases = formats.map(|(name, dtype)| {
            let format = name.parse().expect("a format");
            DequantizeCase { rows: 5, width: 256, format, dtype, seed: 3 }
        });
        let tiles = DequantizeCase { rows: 300, width: 400, ..cases[0].clone() };
        let tiles = DequantizeCase { format: "fp8-e4m3-b128".parse().expect("a format"), ..tiles };
        let cases = [&cases[..], &[tiles]].concat();
        holds(&cases.iter().map(|case| case as &dyn Case).collect::<Vec<_>>());
    }

    /// By hand: 130 x 130 elements are of four tiles of 128 x 128.
    #[test]
    fn a_tile_has_one_scale() {
        let format = "int8-b128".parse().expect("a format");
        let case = DequantizeCase { rows: 130, width: 130, format, dtype: Dtype::Fp32, seed: 1 };
        let inputs = case.inputs().with("x", vec![1.0; 130 * 130]);
        let inputs = inputs.with("x_scales", vec![2.0, 3.0, 5.0, 7.0]);
        let out = case.eval(&inputs, Precision::Exact).remove(0);
        let at = |r: usize, c: usize| out[r * 130 + c];
        assert_eq!([at(0, 0), at(127, 127)], [2.0, 2.0]);
        assert_eq!([at(127, 128), at(128, 127), at(129, 129)], [3.0, 5.0, 7.0]);
    }
}
