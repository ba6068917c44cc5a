//! What kernels get wrong when they read a matrix with scales.

use super::Packed;
use super::anatomy::block_numbers;
use crate::codec::{Float, Overflow};
use crate::validate::Inputs;

/// What is done wrong with a packed matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Misread {
    Nothing,
    ScaleMissing,
    ScaleNeighbour,
    TensorScaleMissing,
    ScaleTwice,
    ScalesTransposed,
    ZeroMissing,
    ZeroPlus1,
    ZeroUnscaled,
    NibblesSwapped,
    HalvesInterleaved,
    OtherSign,
    OtherFloat,
    Fnuz,
}

/// Each with its name and meaning.
pub(in super::super) const MISREAD: &[(&str, &str, Misread)] = &[
    ("scale-missing", "numbers are not multiplied by their scale", Misread::ScaleMissing),
    ("scale-neighbour", "the scale of the group or row behind", Misread::ScaleNeighbour),
    ("tensor-scale-missing", "the scale of the matrix is left out", Misread::TensorScaleMissing),
    ("scales-transposed", "scales are read as [groups, rows]", Misread::ScalesTransposed),
    (
        "scale-bias",
        "scales are twice too large: their exponent's bias is off by one",
        Misread::ScaleTwice,
    ),
    ("zero-missing", "the zero point, or the minimum, is left out", Misread::ZeroMissing),
    ("zero-plus-1", "the zero point is one too high", Misread::ZeroPlus1),
    ("zero-unscaled", "the zero point is taken off behind the scale", Misread::ZeroUnscaled),
    ("nibbles-swapped", "the halves of a byte are swapped", Misread::NibblesSwapped),
    (
        "halves-interleaved",
        "a byte's halves are neighbours, not half a block apart",
        Misread::HalvesInterleaved,
    ),
    (
        "other-sign",
        "codes with a sign are read without, or the other way round",
        Misread::OtherSign,
    ),
    ("other-float", "e4m3 is read as e5m2, or e5m2 as e4m3", Misread::OtherFloat),
    ("fnuz", "e4m3fn is read as e4m3fnuz, whose exponent's bias is one more", Misread::Fnuz),
];

impl Packed {
    /// The numbers of a matrix, `rows x width`, as a kernel reads them that misreads in some way.
    pub(in super::super) fn numbers(
        self,
        inputs: &Inputs,
        name: &str,
        (rows, width): (u64, u64),
        misread: Misread,
    ) -> Vec<f64> {
        if let Self::Block(block) = self {
            return block_numbers(block, inputs.of(name), misread);
        }
        let (group, width) = (self.group(width) as usize, width as usize);
        let per_row = width.div_ceil(group);
        let scale = |r: usize, c: usize| self.scale(inputs, name, (r, c / group, per_row), misread);
        let zero = |r: usize, c: usize| match self {
            Self::Int4 { zeros: true } => {
                inputs.of(&format!("{name}_zeros"))[r * per_row + c / group]
            }
            _ => 0.0,
        };
        let codes = inputs.of(name);
        let code = |r: usize, c: usize| {
            let swapped = misread == Misread::NibblesSwapped && self.has_nibbles();
            let c = if swapped && (c ^ 1) < width { c ^ 1 } else { c };
            self.element_of(codes[r * width + c], misread)
        };
        let number = |r: usize, c: usize| {
            let (code, zero, scale) = (code(r, c), zero(r, c), scale(r, c));
            match misread {
                Misread::ZeroMissing => code * scale,
                Misread::ZeroPlus1 if zero != 0.0 => (code - zero - 1.0) * scale,
                Misread::ZeroUnscaled => code * scale - zero,
                _ => (code - zero) * scale,
            }
        };
        (0..rows as usize)
            .flat_map(|r| (0..width).map(move |c| (r, c)))
            .map(|(r, c)| number(r, c))
            .collect()
    }

    const fn has_nibbles(self) -> bool {
        match self {
            Self::Int4 { .. } | Self::Nvfp4 => true,
            Self::Mx(float) => float.bits() == 4,
            Self::Plain(_) | Self::ScaledFloat(_) | Self::Int8 | Self::Block(_) => false,
        }
    }

    /// What a stored element stands for, before its scale.
    fn element_of(self, code: f64, misread: Misread) -> f64 {
        let other = misread == Misread::OtherFloat;
        let reread = |from: Float, to: Float| to.decode(from.encode(code, Overflow::Special));
        match self {
            Self::ScaledFloat(float) | Self::Mx(float) if float == Float::E4M3FN && other => {
                reread(float, Float::E5M2)
            }
            Self::ScaledFloat(Float::E4M3FN) | Self::Mx(Float::E4M3FN)
                if misread == Misread::Fnuz =>
            {
                reread(Float::E4M3FN, Float::E4M3FNUZ)
            }
            Self::ScaledFloat(float) if float == Float::E5M2 && other => {
                reread(float, Float::E4M3FN)
            }
            Self::Mx(Float::E2M1) | Self::Nvfp4 => Float::E2M1.decode(code as u32),
            Self::Int8 if misread == Misread::OtherSign => code.rem_euclid(256.0),
            Self::Int4 { zeros: false } if misread == Misread::OtherSign => code.rem_euclid(16.0),
            Self::Int4 { zeros: true } if misread == Misread::OtherSign && code > 7.0 => {
                code - 16.0
            }
            _ => code,
        }
    }

    fn scale(
        self,
        inputs: &Inputs,
        name: &str,
        (row, group, per_row): (usize, usize, usize),
        misread: Misread,
    ) -> f64 {
        let scales = match self {
            Self::Plain(_) | Self::Block(_) => return 1.0,
            _ => inputs.of(&format!("{name}_scales")),
        };
        let tensor = match self {
            Self::Nvfp4 => inputs.of(&format!("{name}_scale"))[0],
            _ => 1.0,
        };
        let at = row * per_row + group;
        match misread {
            Misread::ScaleMissing => tensor,
            Misread::ScaleNeighbour => scales[(at + 1) % scales.len()] * tensor,
            Misread::TensorScaleMissing => scales[at],
            Misread::ScalesTransposed => scales[group * (scales.len() / per_row) + row] * tensor,
            Misread::ScaleTwice => 2.0 * scales[at] * tensor,
            _ => scales[at] * tensor,
        }
    }
}
