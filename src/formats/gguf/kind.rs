//! The numbers of ggml's types.

use crate::dtype::Block;
use crate::formats::Kind;

/// Numbers and kinds; ggml's `enum ggml_type`.
const KINDS: &[(u32, Kind)] = &[
    (0, Kind::F32),
    (1, Kind::F16),
    (2, Kind::Block(Block::Q4_0)),
    (3, Kind::Block(Block::Q4_1)),
    (6, Kind::Block(Block::Q5_0)),
    (7, Kind::Block(Block::Q5_1)),
    (8, Kind::Block(Block::Q8_0)),
    (10, Kind::Block(Block::Q2K)),
    (11, Kind::Block(Block::Q3K)),
    (12, Kind::Block(Block::Q4K)),
    (13, Kind::Block(Block::Q5K)),
    (14, Kind::Block(Block::Q6K)),
    (20, Kind::Block(Block::Iq4Nl)),
    (23, Kind::Block(Block::Iq4Xs)),
    (24, Kind::I8),
    (25, Kind::I16),
    (26, Kind::I32),
    (27, Kind::I64),
    (28, Kind::F64),
    (30, Kind::Bf16),
    (39, Kind::Block(Block::Mxfp4)),
    (40, Kind::Block(Block::Nvfp4)),
];

/// The kind of a number.
pub(super) fn of_number(number: u32) -> Option<Kind> {
    KINDS.iter().find(|(n, _)| *n == number).map(|(_, kind)| *kind)
}

/// The number of a kind.
pub(super) fn number(kind: Kind) -> Option<u32> {
    KINDS.iter().find(|(_, k)| *k == kind).map(|(number, _)| *number)
}

/// Neighbours of a row that lie together: those of a block, but NVFP4's blocks come in fours.
pub(super) fn row_multiple(kind: Kind) -> u64 {
    match kind {
        Kind::Block(Block::Nvfp4) => 64,
        Kind::Block(block) => block.elements(),
        _ => 1,
    }
}
