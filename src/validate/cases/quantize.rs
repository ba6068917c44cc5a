//! Cases of quantization: numbers in, codes and scales out.

use super::dtype::Dtype;
use super::random::Random;
use crate::codec::{Float, Mx, Nvfp4, Overflow, ScaleMode};
use crate::formats::Kind;
use crate::validate::case::sizes;
use crate::validate::{
    Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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

/// What a kernel does otherwise; the default is right.
#[derive(Debug, Clone, Copy, Default)]
struct Variant {
    /// From a quotient to an integer.
    rounding: Rounding,
    /// The scale is for one code more: 128, 8.
    one_more: bool,
    /// The largest element is taken for the largest magnitude.
    signed_largest: bool,
    /// One scale for the whole matrix.
    whole: bool,
    /// Codes beyond the range wrap; the scale is for half of it.
    wraps: bool,
    /// Multiplied by the scale's inverse, which is as right as a division.
    inverse: bool,
    /// Zero point left out of the codes.
    zero_missing: bool,
    /// Another power of two.
    mode: Option<ScaleMode>,
    /// The matrix has no scale of its own.
    tensor_missing: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Rounding {
    #[default]
    TiesToEven,
    HalfAway,
    Truncate,
    Floor,
}

impl Rounding {
    fn of(self, x: f64) -> f64 {
        match self {
            Self::TiesToEven => x.round_ties_even(),
            Self::HalfAway => x.round(),
            Self::Truncate => x.trunc(),
            Self::Floor => x.floor(),
        }
    }
}

impl QuantizeCase {
    fn group(&self) -> u64 {
        match self.element {
            Element::Mxfp8 | Element::Mxfp4 => Mx::GROUP as u64,
            Element::Nvfp4 => Nvfp4::GROUP as u64,
            _ => self.group.unwrap_or(self.width),
        }
    }

    fn by(&self, inputs: &Inputs, precision: Precision, variant: Variant) -> Outputs {
        let x = inputs.of("x");
        let narrow = || x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let decoded = |codes: &[u8], float: Float| -> Vec<f64> {
            codes.iter().map(|&c| float.decode(u32::from(c))).collect()
        };
        match self.element {
            Element::Mxfp8 | Element::Mxfp4 => {
                let element =
                    if self.element == Element::Mxfp4 { Float::E2M1 } else { Float::E4M3FN };
                let mode = variant.mode.unwrap_or(ScaleMode::Floor);
                let groups = Mx { element, mode }.quantize(&narrow());
                let codes = match element.bits() {
                    4 => groups.codes.iter().map(|&c| f64::from(c)).collect(),
                    _ => decoded(&groups.codes, element),
                };
                vec![codes, decoded(&groups.scales, Float::E8M0)]
            }
            Element::Nvfp4 => {
                let largest = x.iter().fold(0.0_f64, |m, x| m.max(x.abs())) as f32;
                let format = match variant.tensor_missing {
                    true => Nvfp4 { tensor: None },
                    false => Nvfp4::for_largest(largest),
                };
                let groups = format.quantize(&narrow());
                let tensor = f64::from(format.tensor.unwrap_or(1.0));
                let codes = groups.codes.iter().map(|&c| f64::from(c)).collect();
                vec![codes, decoded(&groups.scales, Float::E4M3FN), vec![tensor]]
            }
            _ => self.scaled(x, precision, variant),
        }
    }

    /// Codes, scales and, where there are any, zero points.
    fn scaled(&self, x: &[f64], precision: Precision, variant: Variant) -> Outputs {
        let group = self.group() as usize;
        let of = |x: f64| if precision == Precision::Kernel { f64::from(x as f32) } else { x };
        let (mut codes, mut scales, mut zeros) = (vec![], vec![], vec![]);
        for part in x.chunks_exact(self.width as usize).flat_map(|row| row.chunks(group)) {
            let range = if variant.whole { x } else { part };
            let (scale, zero) = self.fit(range, &of, variant);
            codes.extend(part.iter().map(|&x| self.code(x, (scale, zero), &of, variant)));
            scales.push(scale);
            zeros.push(zero);
        }
        match self.element {
            Element::Int4Zp => vec![codes, scales, zeros],
            _ => vec![codes, scales],
        }
    }

    fn fit(&self, range: &[f64], of: &dyn Fn(f64) -> f64, variant: Variant) -> (f64, f64) {
        let max = range.iter().copied().fold(0.0, f64::max);
        let min = range.iter().copied().fold(0.0, f64::min);
        let more = f64::from(u8::from(variant.one_more));
        if self.element == Element::Int4Zp {
            let scale = of(of(max - min) / (15.0 + more));
            return (scale, variant.rounding.of(of(-min / scale)));
        }
        let largest = if variant.signed_largest { max } else { max.max(-min) };
        let top = match self.element {
            Element::Int8 => 127.0 + more,
            Element::Fp8E4m3 => Float::E4M3FN.largest(),
            Element::Fp8E5m2 => Float::E5M2.largest(),
            _ => 7.0 + more,
        };
        let half = if variant.wraps { 0.5 } else { 1.0 };
        (of(half * largest / top), 0.0)
    }

    fn code(
        &self,
        x: f64,
        (scale, zero): (f64, f64),
        of: &dyn Fn(f64) -> f64,
        variant: Variant,
    ) -> f64 {
        let quotient = if variant.inverse { of(x * of(1.0 / scale)) } else { of(x / scale) };
        let (low, high) = match self.element {
            Element::Fp8E4m3 => return Float::E4M3FN.round(quotient, Overflow::Saturate),
            Element::Fp8E5m2 => return Float::E5M2.round(quotient, Overflow::Saturate),
            Element::Int8 => (-128.0, 127.0),
            Element::Int4Zp => (0.0, 15.0),
            _ => (-8.0, 7.0),
        };
        let zero = if variant.zero_missing { 0.0 } else { zero };
        let code = variant.rounding.of(quotient) + zero;
        if variant.wraps {
            (code - low).rem_euclid(high - low + 1.0) + low
        } else {
            code.clamp(low, high)
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

    /// Multiplied by the scale's inverse.
    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        let inverse = Variant { inverse: true, ..Variant::default() };
        vec![self.by(inputs, Precision::Kernel, inverse)]
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
}
