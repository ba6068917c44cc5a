//! Scales that a kernel is given, as calibration left them.

use super::variant::Variant;
use super::{Element, QuantizeCase};
use crate::codec::Float;
use crate::validate::cases::random::Random;
use crate::validate::{Array, Inputs, Layout, Stored};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What shares a scale that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Static {
    /// The matrix
    Tensor,
    /// A group of a row
    Group,
}

/// What a kernel takes for the given scales.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Given {
    #[default]
    Right,
    /// One.
    Missing,
    /// Their inverses.
    Inverse,
    /// That of the group behind.
    Neighbour,
    /// What it finds in the numbers.
    Found,
}

impl QuantizeCase {
    /// Axes of the scales.
    pub(super) fn scale_axes(&self) -> Vec<(&'static str, u64)> {
        match self.static_scales {
            Some(Static::Tensor) => vec![("matrix", 1)],
            _ => vec![("row", self.rows), ("group", self.width / self.group())],
        }
    }

    /// Scales and zero points that are given: powers of two, under which some numbers are beyond the range.
    pub(super) fn given(&self, random: &mut Random) -> Vec<Array> {
        if self.static_scales.is_none() {
            return vec![];
        }
        let power = 2f64.powf((4.0 / self.element.top()).log2().floor());
        // Half the range, in steps of a code.
        let power = if self.element == Element::Int4Zp { 2.0 * power } else { power };
        let fp32 = Stored::Float(Float::FP32);
        let layout = Layout::new("scales", "the scales", self.scale_axes(), fp32);
        let values = (0..layout.elements()).map(|g| power * Self::lively(g)).collect();
        let mut arrays = vec![Array { layout, values }];
        if self.element == Element::Int4Zp {
            let codes = self.element.codes();
            let layout = Layout::new("zeros", "the zero points", self.scale_axes(), codes);
            let draw = |_| 5.0 + random.below(6) as f64;
            let values = (0..layout.elements()).map(draw).collect();
            arrays.push(Array { layout, values });
        }
        arrays
    }

    /// The scale and zero point of a group, as a kernel takes them; none where it finds its own.
    pub(super) fn of_given(
        &self,
        inputs: &Inputs,
        group: usize,
        variant: Variant,
    ) -> Option<(f64, f64)> {
        self.static_scales.filter(|_| variant.given != Given::Found)?;
        let scales = inputs.of("scales");
        let at = group % scales.len();
        let zero = match self.element {
            Element::Int4Zp => inputs.of("zeros")[at],
            _ => 0.0,
        };
        let scale = match variant.given {
            _ if variant.whole => scales[0],
            Given::Missing => 1.0,
            Given::Inverse => 1.0 / scales[at],
            Given::Neighbour => scales[(at + 1) % scales.len()],
            _ => scales[at],
        };
        Some((scale, zero))
    }
}
