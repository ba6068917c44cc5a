//! Ways to quantize: right ones that differ in their rounding, and wrong ones.

use super::blocks::Way;
use super::given::Given;
use super::{Element, QuantizeCase};
use crate::codec::{Float, Mx, Nvfp4, Overflow, ScaleMode};
use crate::validate::{Inputs, Outputs, Precision, Stored};

/// What a kernel does otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    /// From a quotient to an integer.
    pub(super) rounding: Rounding,
    /// The scale is for one code more: 128, 8.
    pub(super) one_more: bool,
    /// The largest element is taken for the largest magnitude.
    pub(super) signed_largest: bool,
    /// One scale for the whole matrix.
    pub(super) whole: bool,
    /// Codes beyond the range wrap; a scale that is not given is for half of it.
    pub(super) wraps: bool,
    /// How a quotient is computed: each is as right as the others.
    pub(super) quotient: Quotient,
    /// Zero point left out of the codes.
    pub(super) zero_missing: bool,
    /// Another power of two.
    pub(super) mode: Option<ScaleMode>,
    /// The matrix has no scale of its own.
    pub(super) tensor_missing: bool,
    /// Floats beyond the range become NaN or infinity.
    pub(super) special: bool,
    /// Neighbouring codes change places.
    pub(super) swapped: bool,
    /// What is taken for scales that are given.
    pub(super) given: Given,
    /// How a block of GGUF is written.
    pub(super) way: Way,
}

impl Variant {
    /// Nothing otherwise.
    pub(super) const RIGHT: Self = Self {
        rounding: Rounding::TiesToEven,
        one_more: false,
        signed_largest: false,
        whole: false,
        wraps: false,
        quotient: Quotient::Division,
        zero_missing: false,
        mode: None,
        tensor_missing: false,
        special: false,
        swapped: false,
        given: Given::Right,
        way: Way::Right,
    };
}

/// Ways to divide by a scale.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Quotient {
    #[default]
    Division,
    /// Times the inverse of the scale.
    Inverse,
    /// Times the largest code over the largest magnitude; by the matrix's scale first, under NVFP4.
    Ratio,
    /// Under NVFP4 with the inverse of the matrix's scale, `448 * 6 / max |x|`, in its place, and inverses
    /// for divisions, as CUDA kernels have it; a division elsewhere.
    Global,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Rounding {
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
    pub(super) fn by(&self, inputs: &Inputs, precision: Precision, variant: Variant) -> Outputs {
        let mut outputs = match (self.element, self.element.mx(), self.element.block()) {
            (_, Some(element), _) => self.powers(inputs.of("x"), element, variant),
            (_, _, Some(block)) => {
                return vec![Self::blocks(inputs, block, (precision, variant.way))];
            }
            (Element::Nvfp4, ..) => Self::nvfp4(inputs.of("x"), precision, variant),
            _ => self.scaled(inputs, precision, variant),
        };
        if variant.swapped {
            outputs[0].chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        }
        outputs
    }

    /// Codes under powers of two.
    fn powers(&self, x: &[f64], element: Float, variant: Variant) -> Outputs {
        let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let decoded = |codes: &[u8], float: Float| -> Vec<f64> {
            codes.iter().map(|&c| float.decode(u32::from(c))).collect()
        };
        let mode = variant.mode.unwrap_or(self.scale_mode.unwrap_or_default().mode());
        let groups = Mx { element, mode }.quantize(&narrow);
        let codes = match element.bits() {
            4 => groups.codes.iter().map(|&c| f64::from(c)).collect(),
            _ => decoded(&groups.codes, element),
        };
        vec![codes, decoded(&groups.scales, Float::E8M0)]
    }

    /// NVFP4 as the codec has it, in f32 throughout.
    pub(super) fn by_codec(x: &[f64]) -> Outputs {
        let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let format = Nvfp4::for_largest(x.iter().fold(0.0_f32, |m, x| m.max(x.abs())));
        let groups = format.quantize(&x);
        let scale = |&c: &u8| Float::E4M3FN.decode(u32::from(c));
        let codes = groups.codes.iter().map(|&c| f64::from(c)).collect();
        let scales = groups.scales.iter().map(scale).collect();
        vec![codes, scales, vec![f64::from(format.tensor.unwrap_or(1.0))]]
    }

    /// Codes, scales of groups, the scale of the matrix. Scales are divided by as they are stored.
    fn nvfp4(x: &[f64], precision: Precision, variant: Variant) -> Outputs {
        let of = |x: f64| if precision == Precision::Kernel { f64::from(x as f32) } else { x };
        let (top, low) = (Float::E4M3FN.largest(), Float::E4M3FN.smallest_normal());
        let magnitude = |part: &[f64]| part.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        let whole = match variant.tensor_missing {
            true => 1.0,
            false => Stored::Float(Float::FP32).round(magnitude(x) / (top * Float::E2M1.largest())),
        };
        let global = match variant.tensor_missing {
            true => 1.0,
            false => of(top * Float::E2M1.largest() / magnitude(x)),
        };
        let (mut codes, mut scales) = (vec![], vec![]);
        for part in x.chunks(Nvfp4::GROUP) {
            let sixth = match variant.quotient {
                Quotient::Division => of(magnitude(part) / Float::E2M1.largest()),
                _ => of(magnitude(part) * of(1.0 / Float::E2M1.largest())),
            };
            let needed = match variant.quotient {
                Quotient::Inverse => of(sixth * of(1.0 / whole)),
                Quotient::Global => of(global * sixth),
                _ => of(sixth / whole),
            };
            let scale = Float::E4M3FN.round(needed.clamp(low, top), Overflow::Saturate);
            let quotient = |x: f64| match variant.quotient {
                Quotient::Division => of(x / of(scale * whole)),
                Quotient::Inverse => of(x * of(1.0 / of(scale * whole))),
                Quotient::Ratio => of(x * of(of(1.0 / whole) / scale)),
                Quotient::Global => of(x * of(1.0 / of(scale * of(1.0 / global)))),
            };
            let code = |&x: &f64| f64::from(Float::E2M1.encode(quotient(x), Overflow::Saturate));
            codes.extend(part.iter().map(code));
            scales.push(scale);
        }
        vec![codes, scales, vec![whole]]
    }

    /// Codes, scales and, where there are any, zero points.
    fn scaled(&self, inputs: &Inputs, precision: Precision, variant: Variant) -> Outputs {
        let (x, group) = (inputs.of("x"), self.group() as usize);
        let of = |x: f64| if precision == Precision::Kernel { f64::from(x as f32) } else { x };
        let (mut codes, mut scales, mut zeros) = (vec![], vec![], vec![]);
        for (g, part) in x.chunks(group).enumerate() {
            let range = if variant.whole { x } else { part };
            let given = self.of_given(inputs, g, variant);
            let (scale, zero) = given.unwrap_or_else(|| self.fit(range, &of, variant));
            codes.extend(part.iter().map(|&x| self.code(x, (scale, zero), &of, variant)));
            scales.push(scale);
            zeros.push(zero);
        }
        match self.element {
            _ if self.static_scales.is_some() => vec![codes],
            Element::Int4Zp => vec![codes, scales, zeros],
            _ => vec![codes, scales],
        }
    }

    fn fit(&self, range: &[f64], of: &dyn Fn(f64) -> f64, variant: Variant) -> (f64, f64) {
        let max = range.iter().copied().fold(0.0, f64::max);
        let min = range.iter().copied().fold(0.0, f64::min);
        let more = f64::from(u8::from(variant.one_more));
        if self.element == Element::Int4Zp {
            let scale = of(of(max - min) / (self.element.top() + more));
            return (scale, variant.rounding.of(of(-min / scale)));
        }
        let largest = if variant.signed_largest { max } else { max.max(-min) };
        // Floats have no code more.
        let more = if self.element.float().is_some() { 0.0 } else { more };
        let top = self.element.top() + more;
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
        let quotient = match variant.quotient {
            Quotient::Division | Quotient::Global => of(x / scale),
            Quotient::Inverse => of(x * of(1.0 / scale)),
            Quotient::Ratio => of(x * of(self.element.top() / of(scale * self.element.top()))),
        };
        if let Some(float) = self.element.float() {
            let overflow = if variant.special { Overflow::Special } else { Overflow::Saturate };
            return float.round(quotient, overflow);
        }
        let (low, high) = match self.element {
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
}
