//! Names of formats of matrices.

use super::anatomy::BLOCKS;
use super::{Element, Packed, Sharing};
use crate::codec::Float;
use crate::dtype::Block;

/// Formats by name, integers and floats of 8 bits with the scales that they have unless named.
const NAMED: &[(&str, Packed)] = &[
    ("fp32", Packed::Plain(Float::FP32)),
    ("bf16", Packed::Plain(Float::BF16)),
    ("fp16", Packed::Plain(Float::FP16)),
    ("fp8-e4m3", Packed::Scaled(Element::Float(Float::E4M3FN), Sharing::Row)),
    ("fp8-e5m2", Packed::Scaled(Element::Float(Float::E5M2), Sharing::Row)),
    ("int8", Packed::Scaled(Element::Int8 { zeros: false }, Sharing::Row)),
    ("int8-zp", Packed::Scaled(Element::Int8 { zeros: true }, Sharing::Row)),
    ("int4", Packed::Scaled(Element::Int4 { zeros: false }, Sharing::Group(32))),
    ("int4-zp", Packed::Scaled(Element::Int4 { zeros: true }, Sharing::Group(32))),
    ("mxfp8", Packed::Mx(Float::E4M3FN)),
    ("mxfp8-e5m2", Packed::Mx(Float::E5M2)),
    ("mxfp6-e2m3", Packed::Mx(Float::E2M3)),
    ("mxfp6-e3m2", Packed::Mx(Float::E3M2)),
    ("mxfp4", Packed::Mx(Float::E2M1)),
    ("nvfp4", Packed::Nvfp4),
];

/// What may share a scale, by the end of a name.
const SHARED: &[(&str, Sharing)] = &[
    ("-tensor", Sharing::Tensor),
    ("-channel", Sharing::Row),
    ("-g32", Sharing::Group(32)),
    ("-g64", Sharing::Group(64)),
    ("-g128", Sharing::Group(128)),
    ("-b128", Sharing::Tile(128)),
];

impl Packed {
    /// Names of all.
    pub fn names() -> impl Iterator<Item = String> {
        let blocks = BLOCKS.iter().map(|a| format!("gguf-{}", a.block.name()));
        let shared = NAMED.iter().flat_map(|&(name, packed)| {
            let others = SHARED.iter().map(move |&(end, sharing)| (end, packed.shared(sharing)));
            let others = others.filter(move |(_, other)| other.is_some_and(|o| o != packed));
            let others = others.map(move |(end, _)| format!("{name}{end}"));
            std::iter::once(name.to_owned()).chain(others)
        });
        shared.chain(blocks)
    }

    /// The same elements with other scales, where they may be others.
    const fn shared(self, sharing: Sharing) -> Option<Self> {
        match self {
            Self::Scaled(element, _) => Some(Self::Scaled(element, sharing)),
            Self::Plain(_) | Self::Mx(_) | Self::Nvfp4 | Self::Block(_) => None,
        }
    }
}

impl std::fmt::Display for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Self::Block(block) = self {
            return write!(f, "gguf-{}", block.name());
        }
        if let Some((name, _)) = NAMED.iter().find(|(_, p)| p == self) {
            return f.pad(name);
        }
        let with = |end: &&(&str, Sharing)| self.shared(end.1) == Some(*self);
        let end = SHARED.iter().find(with).map_or("", |(end, _)| end);
        let same = |packed: Packed| SHARED.iter().any(|s| packed.shared(s.1) == Some(*self));
        let name = NAMED.iter().find(|(_, p)| same(*p)).map_or("", |(name, _)| name);
        write!(f, "{name}{end}")
    }
}

impl std::str::FromStr for Packed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |name: &str| NAMED.iter().find(|(n, _)| *n == name).map(|(_, p)| *p);
        let mut ends = SHARED.iter();
        let shared =
            ends.find_map(|(end, sharing)| named(text.strip_suffix(end)?)?.shared(*sharing));
        let block = || {
            let block = text.strip_prefix("gguf-").and_then(Block::from_name);
            block.filter(|b| BLOCKS.iter().any(|a| a.block == *b)).map(Self::Block)
        };
        named(text).or(shared).or_else(block).ok_or_else(|| {
            let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
            let blocks: Vec<&str> = BLOCKS.iter().map(|a| a.block.name()).collect();
            let ends: Vec<&str> = SHARED.iter().map(|(end, _)| *end).collect();
            format!(
                "one of {} is expected, or gguf- with {}; {} behind fp8, int8 and int4 say what shares a scale",
                names.join(", "),
                blocks.join(", "),
                ends.join(", ")
            )
        })
    }
}

impl TryFrom<String> for Packed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Packed> for String {
    fn from(packed: Packed) -> Self {
        packed.to_string()
    }
}
