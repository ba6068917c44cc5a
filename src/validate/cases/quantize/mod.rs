//! Cases of quantization: numbers in, codes and scales out.

mod variant;

use super::dtype::Dtype;
use super::random::Random;
use crate::codec::{Float, Mx, Nvfp4, ScaleMode};
use crate::formats::Kind;
use crate::validate::case::sizes;
use crate::validate::{
    Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use variant::{Quotient, Rounding, Variant};

/// Quantization of a matrix. The defaults show every known bug of symmetric integers.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizeCase {
    /// Rows
    #[arg(long, default_value = "37")]
    pub rows: u64,
    /// Elements of a row
    #[arg(long, default_value = "256")]
    pub width: u64,
    /// What elements become
    #[arg(long, value_enum, default_value_t)]
    pub element: Element,
    /// Neighbours of a row that share a scale; the whole row unless given, 32 and 16 under mxfp8, mxfp4 and nvfp4
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u64>,
    /// Format of the input
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// What elements become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Element {
    /// 8-bit integers, scale max |x| / 127
    #[default]
    Int8,
    /// 4-bit integers, scale max |x| / 7
    Int4,
    /// 4-bit integers from 0 to 15 with a zero point
    Int4Zp,
    /// e4m3fn, scale max |x| / 448
    Fp8E4m3,
    /// e5m2, scale max |x| / 57344
    Fp8E5m2,
    /// e4m3fn with an e8m0 scale, rounded down (OCP)
    Mxfp8,
    /// e2m1 with an e8m0 scale, rounded down (OCP)
    Mxfp4,
    /// e2m1 with an e4m3 scale and a scale of the matrix
    Nvfp4,
}

impl QuantizeCase {
    fn group(&self) -> u64 {
        match self.element {
            Element::Mxfp8 | Element::Mxfp4 => Mx::GROUP as u64,
            Element::Nvfp4 => Nvfp4::GROUP as u64,
            _ => self.group.unwrap_or(self.width),
        }
    }

    fn outcome(
        &self,
        name: &str,
        says: &'static str,
        last: (&'static str, u64),
        stored: Stored,
    ) -> Layout {
        Layout::new(name, says, [("row", self.rows), last], stored)
    }
}

impl Case for QuantizeCase {
    fn check(&self) -> Result<(), CaseError> {
        let group = self.group();
        let named = [("rows", self.rows), ("width", self.width), ("group", group)];
        sizes(&named, 20.0 * self.rows as f64 * self.width as f64)?;
        let fixed = matches!(self.element, Element::Mxfp8 | Element::Mxfp4 | Element::Nvfp4);
        if fixed && self.group.is_some_and(|g| g != group) {
            return Err(CaseError::Number(format!("group is {group} in this format")));
        }
        if !self.width.is_multiple_of(group) {
            let why = format!("width is {}, no multiple of {group}", self.width);
            return Err(CaseError::Number(why));
        }
        Ok(())
    }

    fn title(&self) -> String {
        let Self { rows, width, dtype, .. } = self;
        let element = self.element.to_possible_value();
        let name = element.as_ref().map_or("", |v| v.get_name());
        format!("quantize, {rows} x {width} in {dtype} to {name} by groups of {}", self.group())
    }

    fn conventions(&self) -> Vec<String> {
        let value = self.element.to_possible_value().and_then(|v| v.get_help().cloned());
        let mut lines: Vec<String> =
            value.map(|help| format!("Codes: {help}.")).into_iter().collect();
        lines.push(
            "A code is x over its scale, ties to even, beyond the range the nearest end."
                .to_owned(),
        );
        match self.element {
            Element::Int4Zp => lines.push(
                "The scale is (max - min) / 15 with 0 in the range, the zero point round(-min / scale); it is \
                 added to the rounded quotient."
                    .to_owned(),
            ),
            Element::Mxfp8 | Element::Mxfp4 => lines.push(
                "The scale is 2^(floor(log2 max |x|) - e), e the exponent of the largest element (OCP \
                 Microscaling 1.0, 6.3)."
                    .to_owned(),
            ),
            Element::Nvfp4 => lines.push(
                "The matrix's scale is max |x| / (448 * 6); a group's is max |x| / 6 over it, in e4m3fn."
                    .to_owned(),
            ),
            _ => {}
        }
        lines
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let axes = [("row", self.rows), ("element", self.width)];
        let layout = Layout::new("x", "the numbers", axes, self.dtype.stored());
        let mut x = random.scaled(layout, 0.3, 1.0);
        // The largest magnitude of a group is below zero, and such that quotients of 8 bits are ties; groups differ.
        for (g, part) in x.values.chunks_mut(self.group() as usize).enumerate() {
            part[0] = -127.0 / 32.0;
            let by = [1.0, 0.5, 2.0][g % 3];
            part.iter_mut().for_each(|x| *x = self.dtype.stored().round(*x * by));
        }
        Inputs(vec![x])
    }

    fn outputs(&self) -> Vec<Output> {
        let nibbles = |signed| Stored::Nibbles { signed };
        let codes = match self.element {
            Element::Int8 => Stored::Integer(Kind::I8),
            Element::Int4 => nibbles(true),
            Element::Int4Zp | Element::Mxfp4 | Element::Nvfp4 => nibbles(false),
            Element::Fp8E4m3 | Element::Mxfp8 => Stored::Float(Float::E4M3FN),
            Element::Fp8E5m2 => Stored::Float(Float::E5M2),
        };
        let scale = match self.element {
            Element::Mxfp8 | Element::Mxfp4 => Stored::Float(Float::E8M0),
            Element::Nvfp4 => Stored::Float(Float::E4M3FN),
            _ => Stored::Float(Float::FP32),
        };
        let groups = ("group", self.width / self.group());
        let discrete = scale != Stored::Float(Float::FP32);
        let codes = self.outcome("codes", "the codes", ("element", self.width), codes);
        let scales = self.outcome("scales", "the scales", groups, scale);
        let mut outputs =
            vec![Output { layout: codes, discrete: true }, Output { layout: scales, discrete }];
        match self.element {
            Element::Int4Zp => {
                let layout = self.outcome("zeros", "the zero points", groups, nibbles(false));
                outputs.push(Output { layout, discrete: true });
            }
            Element::Nvfp4 => {
                let stored = Stored::Float(Float::FP32);
                let layout = Layout::new("scale", "the matrix's scale", [("matrix", 1)], stored);
                outputs.push(Output { layout, discrete: false });
            }
            _ => {}
        }
        outputs
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.by(inputs, precision, Variant::default())
    }

    /// The other ways to divide, and the codec of NVFP4.
    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        let by = |quotient| {
            self.by(inputs, Precision::Kernel, Variant { quotient, ..Variant::default() })
        };
        let codec = (self.element == Element::Nvfp4).then(|| Self::by_codec(inputs.of("x")));
        let others = [Quotient::Inverse, Quotient::Ratio, Quotient::Global].map(by);
        others.into_iter().chain(codec).collect()
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        let right = Variant::default();
        let rounding = |rounding| Variant { rounding, ..right };
        let mode = |mode| Variant { mode: Some(mode), ..right };
        let variants = [
            ("half-away", "halves are rounded away from zero", rounding(Rounding::HalfAway)),
            ("truncated", "quotients are cut, not rounded", rounding(Rounding::Truncate)),
            ("floor", "quotients are rounded down", rounding(Rounding::Floor)),
            (
                "one-more",
                "the scale is for one code more: 128, 8 or 16",
                Variant { one_more: true, ..right },
            ),
            (
                "abs-missing",
                "the largest element is taken for the largest magnitude",
                Variant { signed_largest: true, ..right },
            ),
            ("whole-matrix", "one scale for the whole matrix", Variant { whole: true, ..right }),
            (
                "wraps",
                "a scale too small by half, and codes that wrap",
                Variant { wraps: true, ..right },
            ),
            (
                "zero-missing",
                "the zero point is not added to the codes",
                Variant { zero_missing: true, ..right },
            ),
            ("scale-ceil", "the power of two is rounded up", mode(ScaleMode::Ceil)),
            ("scale-even", "the power of two is of the rounded maximum", mode(ScaleMode::Even)),
            (
                "tensor-scale-missing",
                "the matrix has no scale",
                Variant { tensor_missing: true, ..right },
            ),
        ];
        let of = |(name, says, variant): (&'static str, &'static str, Variant)| {
            Mutant::new(name, says, move |inputs: &Inputs, p| self.by(inputs, p, variant))
        };
        let mut mutants: Vec<Mutant<'_>> = variants.into_iter().map(of).collect();
        mutants.push(Mutant::new(
            "codes-swapped",
            "neighbouring codes are swapped",
            |inputs, p| {
                let mut out = self.eval(inputs, p);
                out[0].chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
                out
            },
        ));
        mutants.push(Mutant::new(
            "scale-inverse",
            "scales are written as their inverses",
            |inputs, p| {
                let mut out = self.eval(inputs, p);
                out[1].iter_mut().for_each(|s| *s = 1.0 / *s);
                out
            },
        ));
        mutants
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;
    use crate::codec::Overflow;
    use crate::validate::{Judged, POLICIES, Verdict, references};

    #[test]
    fn bugs_are_told_apart() {
        let case = |element, group, dtype| QuantizeCase {
            rows: 6,
            width: 192,
            element,
            group,
            dtype,
            seed: 3,
        };
        let cases = [
            case(Element::Int8, None, Dtype::Bf16),
            case(Element::Int4, Some(32), Dtype::Fp16),
            case(Element::Int4Zp, Some(64), Dtype::Fp32),
            case(Element::Fp8E4m3, None, Dtype::Bf16),
            case(Element::Fp8E5m2, Some(64), Dtype::Fp32),
            case(Element::Mxfp8, None, Dtype::Bf16),
            case(Element::Mxfp4, None, Dtype::Fp32),
            case(Element::Nvfp4, None, Dtype::Bf16),
        ];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }

    /// Kernels divide by the scales of group and matrix one after the other, by their product, or multiply by
    /// inverses of either: on ties their codes differ, and none is wrong.
    #[test]
    fn right_kernels_of_nvfp4_pass_whatever_the_seed() {
        type Kernel = fn(f32, f32, f32) -> f32;
        let kernels: [Kernel; 4] = [
            |x, scale, largest| x / (largest / 2688.0) / scale,
            |x, scale, largest| x * (1.0 / (scale * (largest / 2688.0))),
            |x, scale, largest| x * (1.0 / (scale * (1.0 / (2688.0 / largest)))),
            |x, scale, largest| x / (scale / (2688.0 / largest)),
        ];
        for seed in 0..40 {
            let (element, dtype) = (Element::Nvfp4, Dtype::Bf16);
            let case = QuantizeCase { rows: 37, width: 256, element, group: None, dtype, seed };
            let inputs = case.inputs();
            let references = references(&case, &inputs);
            let (x, scales) = (inputs.of("x"), &references[1].truth);
            let largest = x.iter().fold(0.0_f32, |m, x| m.max(x.abs() as f32));
            for (k, kernel) in kernels.iter().enumerate() {
                let code = |(i, x): (usize, &f64)| {
                    let quotient = kernel(*x as f32, scales[i / Nvfp4::GROUP] as f32, largest);
                    f64::from(Float::E2M1.encode(f64::from(quotient), Overflow::Saturate))
                };
                let got: Vec<f64> = x.iter().enumerate().map(code).collect();
                let judged = Judged { got: &got, reference: &references[0] };
                assert!(Verdict::of(&POLICIES[0], &judged).passed, "kernel {k}, seed {seed}");
            }
        }
    }
}
