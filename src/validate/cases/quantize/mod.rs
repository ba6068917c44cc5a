//! Cases of quantization: numbers in, codes and scales out.

mod blocks;
mod element;
mod given;
mod mutants;
mod variant;

pub use element::{Element, PowerOfTwo};
pub use given::Static;

use super::dtype::Dtype;
use super::random::Random;
use crate::codec::Float;
use crate::formats::Kind;
use crate::validate::case::sizes;
use crate::validate::{
    Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored,
};
use blocks::Way;
use clap::ValueEnum;
use element::help;
use serde::{Deserialize, Serialize};
use variant::{Quotient, Variant};

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
    /// Neighbours of a row that share a scale; the whole row unless given, 16 under nvfp4, 32 under mx and gguf
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u64>,
    /// Scales are given, of int8, int4, int4-zp and fp8: what shares one
    #[arg(long, value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub static_scales: Option<Static>,
    /// Which power of two a group of mxfp8, mxfp6 or mxfp4 gets; floor unless given
    #[arg(long, value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_mode: Option<PowerOfTwo>,
    /// Format of the input
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

impl QuantizeCase {
    fn group(&self) -> u64 {
        self.element.group().or(self.group).unwrap_or(self.width)
    }

    /// What numbers, and scales, of a group are larger by than those of the first.
    const fn lively(group: usize) -> f64 {
        [1.0, 0.5, 2.0][group % 3]
    }

    /// Parts of the rules that do not go with the element.
    fn unfit(&self) -> Option<&'static str> {
        let free = self.element.group().is_none();
        if self.static_scales.is_some() && !free {
            return Some("static scales are of int8, int4, int4-zp and fp8");
        }
        if self.scale_mode.is_some() && self.element.mx().is_none() {
            return Some("scale_mode is of mxfp8, mxfp6 and mxfp4");
        }
        if self.static_scales == Some(Static::Tensor) && self.group.is_some() {
            return Some("one scale of the matrix has no group");
        }
        None
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

impl QuantizeCase {
    /// How scales come about, beyond what the element says.
    fn scale_says(&self) -> Option<String> {
        match self.element {
            Element::Int4Zp => Some(
                "The scale is (max - min) / 15 with 0 in the range, the zero point round(-min / scale); it is \
                 added to the rounded quotient."
                    .to_owned(),
            ),
            Element::Nvfp4 => Some(
                "The matrix's scale is max |x| / (448 * 6); a group's is max |x| / 6 over it, in e4m3fn."
                    .to_owned(),
            ),
            _ => self
                .element
                .mx()
                .map(|_| format!("The scale is {}.", help(&self.scale_mode.unwrap_or_default()))),
        }
    }
}

impl Case for QuantizeCase {
    fn check(&self) -> Result<(), CaseError> {
        let group = self.group();
        let named = [("rows", self.rows), ("width", self.width), ("group", group)];
        sizes(&named, 20.0 * self.rows as f64 * self.width as f64)?;
        if self.group.is_some_and(|g| g != group) {
            return Err(CaseError::Number(format!("group is {group} in this format")));
        }
        if !self.width.is_multiple_of(group) {
            let why = format!("width is {}, no multiple of {group}", self.width);
            return Err(CaseError::Number(why));
        }
        self.unfit().map_or(Ok(()), |why| Err(CaseError::Number(why.to_owned())))
    }

    fn title(&self) -> String {
        let Self { rows, width, dtype, .. } = self;
        let element = self.element.to_possible_value();
        let name = element.as_ref().map_or("", |v| v.get_name());
        format!("quantize, {rows} x {width} in {dtype} to {name} by groups of {}", self.group())
    }

    fn conventions(&self) -> Vec<String> {
        let mut lines = vec![format!("Codes: {}.", help(&self.element))];
        if let Some(block) = self.element.block() {
            lines.push(format!(
                "A block of {} elements has {} bytes, those of ggml's reference.",
                block.elements(),
                block.bytes()
            ));
            lines.extend(self.element.block_says().map(str::to_owned));
            return lines;
        }
        lines.push(
            "A code is x over its scale, ties to even, beyond the range the nearest end."
                .to_owned(),
        );
        match self.static_scales {
            Some(Static::Tensor) => lines.push("The scale is scales[0].".to_owned()),
            Some(Static::Group) => {
                lines.push(format!("The scale of x[r, i] is scales[r, i / {}].", self.group()));
            }
            None => lines.extend(self.scale_says()),
        }
        if self.static_scales.is_some() && self.element == Element::Int4Zp {
            let line = "The zero point, zeros at the same place, is added to the rounded quotient.";
            lines.push(line.to_owned());
        }
        lines
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let axes = [("row", self.rows), ("element", self.width)];
        let layout = Layout::new("x", "the numbers", axes, self.dtype.stored());
        let mut x = random.scaled(layout, 0.3, 1.0);
        // The largest magnitude of a group is below zero, and such that some quotients are ties; groups differ.
        let (low, high) = self.ends();
        for (g, part) in x.values.chunks_mut(self.group() as usize).enumerate() {
            // Of blocks every other has a scale that is no power of two, and its largest magnitude above zero.
            let other = self.element.block().is_some() && g % 2 == 1;
            let by = Self::lively(g) * if other { -0.9 } else { 1.0 };
            part[0] = low;
            if let (Some(high), Some(last)) = (high, part.get_mut(1)) {
                *last = high;
            }
            part.iter_mut().for_each(|x| *x = self.dtype.stored().round(*x * by));
        }
        let given = self.given(&mut random);
        Inputs(std::iter::once(x).chain(given).collect())
    }

    fn outputs(&self) -> Vec<Output> {
        let groups = self.width / self.group();
        if let Some(block) = self.element.block() {
            let bytes = ("byte", groups * block.bytes());
            let layout = self.outcome("blocks", "the blocks", bytes, Stored::Integer(Kind::U8));
            return vec![Output { layout, discrete: true }];
        }
        let (codes, scale) = (self.element.codes(), self.element.scales());
        let groups = ("group", groups);
        let codes = self.outcome("codes", "the codes", ("element", self.width), codes);
        let mut outputs = vec![Output { layout: codes, discrete: true }];
        if self.static_scales.is_some() {
            return outputs;
        }
        let discrete = scale != Stored::Float(Float::FP32);
        let scales = self.outcome("scales", "the scales", groups, scale);
        outputs.push(Output { layout: scales, discrete });
        match self.element {
            Element::Int4Zp => {
                let stored = self.element.codes();
                let layout = self.outcome("zeros", "the zero points", groups, stored);
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
        self.by(inputs, precision, Variant::RIGHT)
    }

    /// The other ways to divide, and the codec of NVFP4.
    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        let kernel = |variant| self.by(inputs, Precision::Kernel, variant);
        if self.element.block().is_some() {
            let ways = [Way::Divides, Way::Fused];
            return ways.map(|way| kernel(Variant { way, ..Variant::RIGHT })).to_vec();
        }
        let by = |quotient| kernel(Variant { quotient, ..Variant::RIGHT });
        let codec = (self.element == Element::Nvfp4).then(|| Self::by_codec(inputs.of("x")));
        let others = [Quotient::Inverse, Quotient::Ratio, Quotient::Global].map(by);
        others.into_iter().chain(codec).collect()
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        mutants::of(self)
    }
}

impl QuantizeCase {
    /// The smallest element of a group, and the largest where it matters, before the group is made larger.
    const fn ends(&self) -> (f64, Option<f64>) {
        match self.element {
            Element::GgufQ4_0 | Element::GgufQ5_0 => (-4.0, None),
            Element::GgufQ4_1 => (-4.0, Some(3.5)),
            Element::GgufQ5_1 => (-4.0, Some(3.75)),
            _ => (-127.0 / 32.0, None),
        }
    }
}

#[cfg(test)]
mod tests;
