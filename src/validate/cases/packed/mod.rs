//! Matrices in formats with scales, as arrays.

mod anatomy;
mod draw;
mod misread;
mod name;

pub(super) use misread::{MISREAD, Misread};

use crate::codec::{Float, Mx, Nvfp4};
use crate::dtype::Block;
use crate::formats::Kind;
use crate::validate::Stored;
use serde::{Deserialize, Serialize};

/// How a matrix is stored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Packed {
    /// Floats as they are.
    Plain(Float),
    /// Elements with scales.
    Scaled(Element, Sharing),
    /// Microscaling: elements with an e8m0 scale for each 32.
    Mx(Float),
    /// e2m1 with an e4m3 scale for each 16 and an fp32 scale of the matrix.
    Nvfp4,
    /// Blocks of GGUF, as bytes.
    Block(Block),
}

/// What scales are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Floats of 8 bits, scales in fp32.
    Float(Float),
    /// 8-bit integers, scales in fp32; with zero points of 8 bits, or none.
    Int8 {
        /// Whether what shares a scale shares a zero point.
        zeros: bool,
    },
    /// 4-bit integers, two in a byte, scales in fp16; with zero points of 4 bits, or none.
    Int4 {
        /// Whether what shares a scale shares a zero point.
        zeros: bool,
    },
}

/// What shares a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The whole matrix.
    Tensor,
    /// A row: an output channel of weights, a token of activations.
    Row,
    /// So many neighbours of a row.
    Group(u64),
    /// A square of so many rows and columns, cut off at the edges.
    Tile(u64),
}

impl Element {
    /// How one is stored.
    pub(super) const fn stored(self) -> Stored {
        match self {
            Self::Float(float) => Stored::Float(float),
            Self::Int8 { .. } => Stored::Integer(Kind::I8),
            Self::Int4 { zeros } => Stored::Nibbles { signed: !zeros },
        }
    }

    const fn has_zeros(self) -> bool {
        matches!(self, Self::Int8 { zeros: true } | Self::Int4 { zeros: true })
    }
}

impl Packed {
    /// Neighbours of which a row has a whole number.
    pub(super) fn group(self, width: u64) -> u64 {
        match self {
            Self::Plain(_) | Self::Scaled(_, Sharing::Tensor | Sharing::Tile(_)) => 1,
            Self::Scaled(_, Sharing::Row) => width,
            Self::Scaled(_, Sharing::Group(group)) => group,
            Self::Mx(_) => Mx::GROUP as u64,
            Self::Nvfp4 => Nvfp4::GROUP as u64,
            Self::Block(block) => anatomy::of(block).elements(),
        }
    }

    /// How a kernel gets the numbers, in words.
    pub(super) fn says(self, name: &str) -> String {
        let at = format!("{name}[r, i]");
        match self {
            Self::Plain(_) => format!("{at} is the number."),
            Self::Scaled(element, sharing) => {
                let of = match sharing {
                    Sharing::Tensor => "[0]".to_owned(),
                    Sharing::Row => "[r]".to_owned(),
                    Sharing::Group(group) => format!("[r, i / {group}]"),
                    Sharing::Tile(side) => format!("[r / {side}, i / {side}]"),
                };
                let number = match element.has_zeros() {
                    true => format!("({at} - {name}_zeros{of})"),
                    false => at,
                };
                let codes = match element {
                    Element::Float(_) | Element::Int8 { .. } => "",
                    Element::Int4 { zeros: false } => ", codes from -8 to 7",
                    Element::Int4 { zeros: true } => ", codes from 0 to 15",
                };
                format!("The number is {number} * {name}_scales{of}{codes}.")
            }
            Self::Mx(_) => {
                format!("The number is {at} * {name}_scales[r, i / 32], a power of two.")
            }
            Self::Nvfp4 => {
                format!("The number is {at} * {name}_scales[r, i / 16] * {name}_scale[0].")
            }
            Self::Block(block) => {
                let unit = anatomy::of(block);
                format!(
                    "{name} has the bytes of ggml's {} blocks of {} elements, {} bytes each.",
                    block.name(),
                    unit.elements(),
                    unit.bytes()
                )
            }
        }
    }
}
