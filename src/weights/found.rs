//! The tensors that a part of a weight is read from.

use crate::formats::{Entry, Kind};
use crate::model::checkpoint::Form;

/// A tensor's name, the number of its file, and its place there.
pub(super) type Stored<'a> = (&'a str, &'a (usize, Entry));

/// Numbers in a microscaling group, and bytes of their elements.
const GROUP: u64 = 32;
const GROUP_BYTES: u64 = 16;

/// What is read.
pub(super) enum Found<'a> {
    /// A tensor.
    One(Stored<'a>),
    /// MXFP4 in two tensors, rows of outputs: elements `[.., rows, groups, 16]`, the first number in the low
    /// half of a byte, and powers of two `[.., rows, groups]` (gpt-oss, arXiv 2508.10925).
    Microscaled {
        /// The elements.
        blocks: Stored<'a>,
        /// The powers of two.
        scales: Stored<'a>,
    },
}

impl<'a> Found<'a> {
    /// Whether elements and powers of two fit each other.
    pub(super) fn is_whole(&self) -> bool {
        let Self::Microscaled { blocks: (_, (_, blocks)), scales: (_, (_, scales)) } = self else {
            return true;
        };
        let groups = blocks.shape.split_last();
        let fit = groups.is_some_and(|(last, rest)| *last == GROUP_BYTES && rest == scales.shape);
        fit && (blocks.kind, scales.kind) == (Kind::U8, Kind::U8)
    }

    /// Names of what is read.
    pub(super) fn names(&self) -> Vec<&'a str> {
        match self {
            Self::One((name, _)) => vec![name],
            Self::Microscaled { blocks, scales } => vec![blocks.0, scales.0],
        }
    }

    /// Extents of the numbers.
    pub(super) fn shape(&self) -> Vec<u64> {
        match self {
            Self::One((_, (_, entry))) => entry.shape.clone(),
            Self::Microscaled { scales: (_, (_, scales)), .. } => {
                let mut shape = scales.shape.clone();
                shape.iter_mut().rev().take(1).for_each(|groups| *groups *= GROUP);
                shape
            }
        }
    }

    /// The form of a part: microscaled tensors have rows where plain ones have columns.
    pub(super) const fn form(&self, form: Form) -> Form {
        match (self, form) {
            (Self::Microscaled { .. }, Form::TransposedSlab(i)) => Form::Slab(i),
            (_, form) => form,
        }
    }
}
