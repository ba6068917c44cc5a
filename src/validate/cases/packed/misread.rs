//! What kernels get wrong when they read a matrix with scales.

use super::super::codes::reread;
use super::anatomy::block_numbers;
use super::{Element, Packed, Sharing};
use crate::codec::{Float, Mx, Nvfp4};
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
    ScaleFirst,
    ScaleInverse,
    GroupTwice,
    GroupHalf,
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
    ("scale-neighbour", "the scale of the group, row or tile behind", Misread::ScaleNeighbour),
    ("scale-first", "the first scale is taken for the whole matrix", Misread::ScaleFirst),
    ("scale-inverse", "numbers are divided by their scale", Misread::ScaleInverse),
    ("group-twice", "twice as many neighbours are taken to share a scale", Misread::GroupTwice),
    ("group-half", "half as many neighbours are taken to share a scale", Misread::GroupHalf),
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
    (
        "other-float",
        "e4m3 is read as e5m2, or e5m2 as e4m3; of 6 bits e2m3 as e3m2, or e3m2 as e2m3",
        Misread::OtherFloat,
    ),
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
        let width = width as usize;
        let has_zeros = matches!(self, Self::Scaled(element, _) if element.has_zeros());
        let zeros = if has_zeros { inputs.of(&format!("{name}_zeros")) } else { &[] };
        let of = Scales { packed: self, width, misread };
        let scales = of.read(inputs, name);
        let codes = inputs.of(name);
        let code = |r: usize, c: usize| {
            let swapped = misread == Misread::NibblesSwapped && self.has_nibbles();
            let c = if swapped && (c ^ 1) < width { c ^ 1 } else { c };
            self.element_of(codes[r * width + c], misread)
        };
        let number = |r: usize, c: usize| {
            let (code, scale) = (code(r, c), scales(r, c));
            let Some(zero) = zeros.get(of.own(r, c)) else { return code * scale };
            match misread {
                Misread::ZeroMissing => code * scale,
                Misread::ZeroPlus1 => (code - zero - 1.0) * scale,
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
            Self::Scaled(Element::Int4 { .. }, _) | Self::Nvfp4 => true,
            Self::Mx(float) => float.bits() == 4,
            Self::Plain(_) | Self::Scaled(..) | Self::Block(_) => false,
        }
    }

    /// What a stored element stands for, before its scale.
    fn element_of(self, code: f64, misread: Misread) -> f64 {
        match self {
            Self::Scaled(Element::Float(float), _) | Self::Mx(float) if float.bits() > 4 => {
                match (misread, float) {
                    (Misread::Fnuz, Float::E4M3FN) => reread(code, float, Float::E4M3FNUZ),
                    (Misread::OtherFloat, Float::E4M3FN) => reread(code, float, Float::E5M2),
                    (Misread::OtherFloat, Float::E5M2) => reread(code, float, Float::E4M3FN),
                    (Misread::OtherFloat, Float::E2M3) => reread(code, float, Float::E3M2),
                    (Misread::OtherFloat, Float::E3M2) => reread(code, float, Float::E2M3),
                    _ => code,
                }
            }
            Self::Mx(Float::E2M1) | Self::Nvfp4 => Float::E2M1.decode(code as u32),
            Self::Scaled(element, _) if misread == Misread::OtherSign => match element {
                Element::Int8 { .. } => code.rem_euclid(256.0),
                Element::Int4 { zeros: false } => code.rem_euclid(16.0),
                Element::Int4 { zeros: true } if code > 7.0 => code - 16.0,
                _ => code,
            },
            _ => code,
        }
    }
}

/// The scales of a matrix, as a kernel finds them that misreads in some way.
#[derive(Clone, Copy)]
struct Scales {
    packed: Packed,
    width: usize,
    misread: Misread,
}

impl Scales {
    /// Rows and columns that share a scale, and scales of a row of them.
    const fn shared(self) -> (usize, usize, usize) {
        let width = self.width;
        match self.packed {
            Packed::Plain(_) | Packed::Block(_) | Packed::Scaled(_, Sharing::Tensor) => {
                (usize::MAX, usize::MAX, 1)
            }
            Packed::Scaled(_, Sharing::Row) => (1, usize::MAX, 1),
            Packed::Scaled(_, Sharing::Group(g)) => (1, g as usize, width / g as usize),
            Packed::Scaled(_, Sharing::Tile(side)) => {
                (side as usize, side as usize, width.div_ceil(side as usize))
            }
            Packed::Mx(_) => (1, Mx::GROUP, width / Mx::GROUP),
            Packed::Nvfp4 => (1, Nvfp4::GROUP, width / Nvfp4::GROUP),
        }
    }

    /// Which of the scales, and of the zero points, is an element's.
    const fn own(self, r: usize, c: usize) -> usize {
        let (rows, columns, per_row) = self.shared();
        r / rows * per_row + c / columns
    }

    /// Which of so many scales is read for an element.
    fn at(self, r: usize, c: usize, count: usize) -> usize {
        let (rows, columns, per_row) = self.shared();
        let (row, group) = (r / rows, c / columns);
        let grouped = columns < usize::MAX;
        match self.misread {
            Misread::ScaleNeighbour => (self.own(r, c) + 1) % count,
            Misread::ScaleFirst => 0,
            Misread::ScalesTransposed => group * (count / per_row) + row,
            Misread::GroupTwice if grouped => row * per_row + c / (2 * columns),
            Misread::GroupHalf if grouped => (row * per_row + c / (columns / 2)) % count,
            _ => self.own(r, c),
        }
    }

    /// What numbers are multiplied with.
    fn read<'a>(self, inputs: &'a Inputs, name: &str) -> impl Fn(usize, usize) -> f64 + use<'a> {
        let has_none = matches!(self.packed, Packed::Plain(_) | Packed::Block(_));
        let scales = if has_none { &[1.0] } else { inputs.of(&format!("{name}_scales")) };
        let tensor = match self.packed {
            Packed::Nvfp4 => inputs.of(&format!("{name}_scale"))[0],
            _ => 1.0,
        };
        move |r, c| {
            let scale = scales[self.at(r, c, scales.len())];
            match self.misread {
                Misread::ScaleMissing => tensor,
                Misread::TensorScaleMissing => scale,
                Misread::ScaleTwice if !has_none => 2.0 * scale * tensor,
                Misread::ScaleInverse => tensor / scale,
                _ => scale * tensor,
            }
        }
    }
}
