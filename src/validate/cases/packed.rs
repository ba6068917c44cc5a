//! Matrices in formats with scales, as arrays, and what kernels get wrong when they read them.

use super::random::Random;
use crate::codec::block::dequantize;
use crate::codec::{Float, Integer, Mx, Nvfp4, Overflow, ScaleMode};
use crate::dtype::Block;
use crate::formats::Kind;
use crate::validate::{Array, Inputs, Layout, Stored};
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

/// Where a block of GGUF keeps what kernels misread.
struct Anatomy {
    block: Block,
    /// The scale, fp16.
    scale: usize,
    /// The scale of the minima, fp16.
    min: Option<usize>,
    /// Bytes that hold two elements of 4 bits.
    nibbles: std::ops::Range<usize>,
}

const fn anatomy(
    block: Block,
    scale: usize,
    min: Option<usize>,
    nibbles: std::ops::Range<usize>,
) -> Anatomy {
    Anatomy { block, scale, min, nibbles }
}

/// Blocks of GGUF that cases are made of (ggml-org/llama.cpp, `ggml/src/ggml-common.h`).
const BLOCKS: &[Anatomy] = &[
    anatomy(Block::Q4_0, 0, None, 2..18),
    anatomy(Block::Q4_1, 0, Some(2), 4..20),
    anatomy(Block::Q5_0, 0, None, 6..22),
    anatomy(Block::Q5_1, 0, Some(2), 8..24),
    anatomy(Block::Q8_0, 0, None, 0..0),
    anatomy(Block::Q2K, 80, Some(82), 0..0),
    anatomy(Block::Q3K, 108, None, 0..0),
    anatomy(Block::Q4K, 0, Some(2), 16..144),
    anatomy(Block::Q5K, 0, Some(2), 48..176),
    anatomy(Block::Q6K, 208, None, 0..0),
    anatomy(Block::Iq4Nl, 0, None, 2..18),
    anatomy(Block::Iq4Xs, 0, None, 8..136),
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

/// What is done wrong with a packed matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misread {
    Nothing,
    ScaleMissing,
    ScaleNeighbour,
    TensorScaleMissing,
    ScaleTwice,
    ZeroMissing,
    ZeroPlus1,
    ZeroUnscaled,
    NibblesSwapped,
    HalvesInterleaved,
    OtherSign,
    OtherFloat,
}

/// Each with its name and meaning.
pub(super) const MISREAD: &[(&str, &str, Misread)] = &[
    ("scale-missing", "numbers are not multiplied by their scale", Misread::ScaleMissing),
    ("scale-neighbour", "the scale of the group or row behind", Misread::ScaleNeighbour),
    ("tensor-scale-missing", "the scale of the matrix is left out", Misread::TensorScaleMissing),
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
];

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
                let deviation = float.largest() / 4.0;
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

    /// The numbers of a matrix, `rows x width`, as a kernel reads them that misreads in some way.
    pub(super) fn numbers(
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
            Misread::ScaleTwice => 2.0 * scales[at] * tensor,
            _ => scales[at] * tensor,
        }
    }
}

fn block_numbers(block: Block, bytes: &[f64], misread: Misread) -> Vec<f64> {
    let row = BLOCKS.iter().find(|a| a.block == block);
    let Anatomy { scale, min, nibbles, .. } =
        row.expect("invariant: a case has a block of the table");
    let mut bytes: Vec<u8> = bytes.iter().map(|&b| b as u8).collect();
    let each = bytes.chunks_exact_mut(block.bytes() as usize);
    // 1 and 0 in fp16.
    let put = |block: &mut [u8], at: Option<usize>, half: u16| {
        if let Some(at) = at {
            block[at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
    };
    for block in each {
        match misread {
            Misread::ScaleMissing => put(block, Some(*scale), 0x3c00),
            Misread::ZeroMissing => put(block, *min, 0),
            Misread::NibblesSwapped => {
                block[nibbles.clone()].iter_mut().for_each(|b| *b = b.rotate_left(4));
            }
            _ => {}
        }
    }
    let elements = bytes.len() / block.bytes() as usize * block.elements() as usize;
    let mut out = vec![0.0; elements];
    dequantize(block, &bytes, &mut out).expect("invariant: whole blocks of a known type");
    let interleaved = misread == Misread::HalvesInterleaved && !nibbles.is_empty();
    let pieces = out.chunks_exact(32).flat_map(|b| {
        let place = move |i: usize| if interleaved { i / 2 + 16 * (i % 2) } else { i };
        (0..32).map(move |i| f64::from(b[place(i)]))
    });
    match (misread, block.elements()) {
        // Halves of 32 lie together in the larger blocks, 32 elements apart.
        (Misread::HalvesInterleaved, 256) => out.iter().map(|&x| f64::from(x)).collect(),
        _ => pieces.collect(),
    }
}
