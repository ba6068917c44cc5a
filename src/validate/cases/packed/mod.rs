//! Matrices in formats with scales, as arrays.

mod anatomy;
mod misread;

pub(super) use misread::{MISREAD, Misread};

use super::random::Random;
use crate::codec::{Float, Integer, Mx, Nvfp4, ScaleMode};
use crate::dtype::Block;
use crate::formats::Kind;
use crate::validate::{Array, Layout, Stored};
use anatomy::BLOCKS;
use serde::{Deserialize, Serialize};

/// How a matrix is stored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Packed {
    /// Floats as they are.
    Plain(Float),
    /// Floats of 8 bits with a scale for each row, fp32.
    ScaledFloat(Float),
    /// 8-bit integers with a scale for each row, fp32.
    Int8,
    /// 4-bit integers, two in a byte, with an fp16 scale for each 32; with a zero point of 4 bits, or none.
    Int4 {
        /// Whether groups have zero points.
        zeros: bool,
    },
    /// Microscaling: elements with an e8m0 scale for each 32.
    Mx(Float),
    /// e2m1 with an e4m3 scale for each 16 and an fp32 scale of the matrix.
    Nvfp4,
    /// Blocks of GGUF, as bytes.
    Block(Block),
}

const NAMED: &[(&str, Packed)] = &[
    ("fp32", Packed::Plain(Float::FP32)),
    ("bf16", Packed::Plain(Float::BF16)),
    ("fp16", Packed::Plain(Float::FP16)),
    ("fp8-e4m3", Packed::ScaledFloat(Float::E4M3FN)),
    ("fp8-e5m2", Packed::ScaledFloat(Float::E5M2)),
    ("int8", Packed::Int8),
    ("int4", Packed::Int4 { zeros: false }),
    ("int4-zp", Packed::Int4 { zeros: true }),
    ("mxfp8", Packed::Mx(Float::E4M3FN)),
    ("mxfp4", Packed::Mx(Float::E2M1)),
    ("nvfp4", Packed::Nvfp4),
];
impl Packed {
    /// Names of all.
    pub fn names() -> impl Iterator<Item = String> {
        let blocks = BLOCKS.iter().map(|a| format!("gguf-{}", a.block.name()));
        NAMED.iter().map(|(name, _)| (*name).to_owned()).chain(blocks)
    }

    /// Neighbours of a row that share a scale; rows are whole numbers of them.
    pub(super) fn group(self, width: u64) -> u64 {
        match self {
            Self::Plain(_) => 1,
            Self::ScaledFloat(_) | Self::Int8 => width,
            Self::Int4 { .. } => 32,
            Self::Mx(_) => Mx::GROUP as u64,
            Self::Nvfp4 => Nvfp4::GROUP as u64,
            Self::Block(block) => block.elements(),
        }
    }

    /// How a kernel gets the numbers, in words.
    pub(super) fn says(self, name: &str) -> String {
        let at = format!("{name}[r, i]");
        match self {
            Self::Plain(_) => format!("{at} is the number."),
            Self::ScaledFloat(_) | Self::Int8 => format!("The number is {at} * {name}_scales[r]."),
            Self::Int4 { zeros: false } => {
                format!("The number is {at} * {name}_scales[r, i / 32], codes from -8 to 7.")
            }
            Self::Int4 { zeros: true } => format!(
                "The number is ({at} - {name}_zeros[r, i / 32]) * {name}_scales[r, i / 32], codes from 0 to 15."
            ),
            Self::Mx(_) => {
                format!("The number is {at} * {name}_scales[r, i / 32], a power of two.")
            }
            Self::Nvfp4 => {
                format!("The number is {at} * {name}_scales[r, i / 16] * {name}_scale[0].")
            }
            Self::Block(block) => format!(
                "{name} has the bytes of ggml's {} blocks of {} elements, {} bytes each.",
                block.name(),
                block.elements(),
                block.bytes()
            ),
        }
    }
}

impl std::fmt::Display for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Block(block) => write!(f, "gguf-{}", block.name()),
            plain => {
                let named = NAMED.iter().find(|(_, p)| p == plain);
                f.pad(named.map_or("", |(name, _)| name))
            }
        }
    }
}

impl std::str::FromStr for Packed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, packed)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(*packed);
        }
        let block = text.strip_prefix("gguf-").and_then(Block::from_name);
        let known = block.filter(|b| BLOCKS.iter().any(|a| a.block == *b));
        let names: Vec<String> = Self::names().collect();
        known.map(Self::Block).ok_or_else(|| format!("one of {} is expected", names.join(", ")))
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

impl Packed {
    /// The arrays of a random matrix.
    pub(super) fn arrays(
        self,
        random: &mut Random,
        name: &str,
        says: &'static str,
        axes: [(&'static str, u64); 2],
    ) -> Vec<Array> {
        let [(_, rows), (_, width)] = axes;
        let groups = width / self.group(width).max(1);
        let part = |suffix: &str, says, axes: Vec<(&'static str, u64)>, stored| {
            Layout::new(&format!("{name}{suffix}"), says, axes, stored)
        };
        let scales = |axes: Vec<_>, stored| part("_scales", "the scales", axes, stored);
        let by_group = vec![axes[0], ("group", groups)];
        // Scales spread over a factor of four, so that a neighbour's is another.
        let spread = |random: &mut Random, layout: Layout, top: f64| -> Array {
            let draw = |_| layout.stored.round(top * 4f64.powf(random.fraction() - 1.0));
            let values = (0..layout.elements()).map(draw).collect();
            Array { layout, values }
        };
        let matrix = |stored| part("", says, axes.to_vec(), stored);
        let codes = |random: &mut Random, low: i64, count: u64, stored| {
            let layout = matrix(stored);
            let draw = |_| (low + random.below(count) as i64) as f64;
            let values = (0..layout.elements()).map(draw).collect();
            Array { layout, values }
        };
        let fp32 = Stored::Float(Float::FP32);
        match self {
            Self::Plain(float) => vec![random.array(matrix(Stored::Float(float)))],
            Self::ScaledFloat(float) => {
                let deviation = float.largest() / 1.75;
                let numbers = random.scaled(matrix(Stored::Float(float)), 0.0, deviation);
                let layout = scales(vec![axes[0]], fp32);
                vec![numbers, spread(random, layout, 2.0 / deviation)]
            }
            Self::Int8 => {
                let numbers = codes(random, -127, 255, Stored::Integer(Kind::I8));
                let layout = scales(vec![axes[0]], fp32);
                vec![numbers, spread(random, layout, 2.0 / 73.0)]
            }
            Self::Int4 { zeros } => {
                let stored = Stored::Nibbles { signed: !zeros };
                let low = if zeros { 0 } else { Integer::INT4.smallest() };
                let numbers = codes(random, low, 16, stored);
                let layout = scales(by_group.clone(), Stored::Float(Float::FP16));
                let mut arrays = vec![numbers, spread(random, layout, 2.0 / 4.6)];
                if zeros {
                    let layout = part("_zeros", "the zero points", by_group, stored);
                    let values =
                        (0..layout.elements()).map(|_| 5.0 + random.below(6) as f64).collect();
                    arrays.push(Array { layout, values });
                }
                arrays
            }
            Self::Mx(float) => {
                let raw: Vec<f32> = (0..rows * width).map(|_| random.unit() as f32).collect();
                let lively = raw.chunks(Mx::GROUP).enumerate();
                let raw: Vec<f32> = lively
                    .flat_map(|(g, group)| group.iter().map(move |x| x * [0.5, 1.0, 2.0][g % 3]))
                    .collect();
                let groups = Mx { element: float, mode: ScaleMode::Floor }.quantize(&raw);
                let decoded = |codes: &[u8], float: Float| -> Vec<f64> {
                    codes.iter().map(|&c| float.decode(u32::from(c))).collect()
                };
                let numbers = Array {
                    layout: matrix(Self::element(float)),
                    values: Self::element_values(float, &groups.codes),
                };
                let layout = scales(by_group, Stored::Float(Float::E8M0));
                vec![numbers, Array { layout, values: decoded(&groups.scales, Float::E8M0) }]
            }
            Self::Nvfp4 => {
                let raw: Vec<f32> = (0..rows * width).map(|_| random.unit() as f32).collect();
                let largest = raw.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
                let format = Nvfp4::for_largest(largest);
                let groups = format.quantize(&raw);
                let numbers = Array {
                    layout: matrix(Self::element(Float::E2M1)),
                    values: Self::element_values(Float::E2M1, &groups.codes),
                };
                let layout = scales(by_group, Stored::Float(Float::E4M3FN));
                let of = |&c: &u8| Float::E4M3FN.decode(u32::from(c));
                let each = Array { layout, values: groups.scales.iter().map(of).collect() };
                let layout = part("_scale", "the matrix's scale", vec![("matrix", 1)], fp32);
                let whole = f64::from(format.tensor.unwrap_or(1.0));
                vec![numbers, each, Array { layout, values: vec![whole] }]
            }
            Self::Block(block) => {
                let raw: Vec<f32> = (0..rows * width).map(|_| random.unit() as f32 + 0.2).collect();
                let bytes = crate::codec::block::quantize(block, &raw)
                    .expect("invariant: a checked case has whole blocks of small numbers");
                let per_row = ("byte", width / block.elements() * block.bytes());
                let stored = Stored::Integer(Kind::U8);
                let layout = part("", says, vec![axes[0], per_row], stored);
                vec![Array { layout, values: bytes.into_iter().map(f64::from).collect() }]
            }
        }
    }

    /// How an element of a microscaling format is stored: a byte, or half of one.
    fn element(float: Float) -> Stored {
        match float.bits() {
            4 => Stored::Nibbles { signed: false },
            _ => Stored::Float(float),
        }
    }

    fn element_values(float: Float, codes: &[u8]) -> Vec<f64> {
        match Self::element(float) {
            Stored::Nibbles { .. } => codes.iter().map(|&c| f64::from(c)).collect(),
            _ => codes.iter().map(|&c| float.decode(u32::from(c))).collect(),
        }
    }
}
