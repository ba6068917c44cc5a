//! Random matrices in formats with scales.

use super::super::random::Random;
use super::{Element, Packed, Sharing};
use crate::codec::{Float, Groups, Integer, Mx, Nvfp4, ScaleMode};
use crate::dtype::Block;
use crate::formats::Kind;
use crate::validate::{Array, Layout, Stored};

/// The parts of a matrix by name.
struct Parts<'a> {
    name: &'a str,
    says: &'static str,
    axes: [(&'static str, u64); 2],
}

impl Parts<'_> {
    fn elements(&self) -> usize {
        (self.axes[0].1 * self.axes[1].1) as usize
    }

    fn matrix(&self, stored: Stored) -> Layout {
        Layout::new(self.name, self.says, self.axes, stored)
    }

    fn part(
        &self,
        suffix: &str,
        says: &'static str,
        axes: &[(&'static str, u64)],
        stored: Stored,
    ) -> Layout {
        Layout::new(&format!("{}{suffix}", self.name), says, axes, stored)
    }

    fn by_group(&self, group: u64) -> [(&'static str, u64); 2] {
        [self.axes[0], ("group", self.axes[1].1 / group.max(1))]
    }

    /// What shares a scale.
    fn shared(&self, sharing: Sharing) -> Vec<(&'static str, u64)> {
        let [(_, rows), (_, width)] = self.axes;
        match sharing {
            Sharing::Tensor => vec![("tensor", 1)],
            Sharing::Row => vec![self.axes[0]],
            Sharing::Group(group) => self.by_group(group).to_vec(),
            Sharing::Tile(side) => {
                vec![("row tile", rows.div_ceil(side)), ("column tile", width.div_ceil(side))]
            }
        }
    }
}

fn codes(random: &mut Random, layout: Layout, low: i64, count: u64) -> Array {
    let values = (0..layout.elements()).map(|_| (low + random.below(count) as i64) as f64);
    Array { values: values.collect(), layout }
}

impl Packed {
    /// The arrays of a random matrix.
    pub(in super::super) fn arrays(
        self,
        random: &mut Random,
        name: &str,
        says: &'static str,
        axes: [(&'static str, u64); 2],
    ) -> Vec<Array> {
        let parts = Parts { name, says, axes };
        match self {
            Self::Plain(float) => vec![random.array(parts.matrix(Stored::Float(float)))],
            Self::Scaled(element, sharing) => scaled(random, &parts, element, sharing),
            Self::Mx(float) => mx(random, &parts, float),
            Self::Nvfp4 => nvfp4(random, &parts),
            Self::Block(block) => vec![blocks(random, &parts, block)],
        }
    }
}

fn scaled(
    random: &mut Random,
    parts: &Parts<'_>,
    element: Element,
    sharing: Sharing,
) -> Vec<Array> {
    let stored = element.stored();
    let layout = parts.matrix(stored);
    // The largest scale makes numbers of deviation 2.
    let (numbers, deviation) = match element {
        Element::Float(float) => {
            let deviation = float.largest() / 1.75;
            (random.scaled(layout, 0.0, deviation), deviation)
        }
        Element::Int8 { zeros: false } => (codes(random, layout, -127, 255), 73.0),
        Element::Int8 { zeros: true } => (codes(random, layout, -128, 256), 73.0),
        Element::Int4 { zeros: false } => {
            (codes(random, layout, Integer::INT4.smallest(), 16), 4.6)
        }
        Element::Int4 { zeros: true } => (codes(random, layout, 0, 16), 4.6),
    };
    let shared = parts.shared(sharing);
    let of_scales = match element {
        Element::Int4 { .. } => Float::FP16,
        _ => Float::FP32,
    };
    let layout = parts.part("_scales", "the scales", &shared, Stored::Float(of_scales));
    let mut arrays = vec![numbers, random.spread(layout, 2.0 / deviation)];
    // Zero points lie in the middle half, none at zero.
    let (low, count) = match element {
        Element::Int8 { zeros: true } => (17, 48),
        Element::Int4 { zeros: true } => (5, 6),
        _ => return arrays,
    };
    let layout = parts.part("_zeros", "the zero points", &shared, stored);
    arrays.push(codes(random, layout, low, count));
    arrays
}

fn decoded(codes: &[u8], float: Float) -> Vec<f64> {
    codes.iter().map(|&c| float.decode(u32::from(c))).collect()
}

/// Elements as they are stored: a byte each, or half of one.
fn elements(parts: &Parts<'_>, groups: &Groups, float: Float) -> Array {
    let (stored, values) = match float.bits() {
        4 => {
            let codes = groups.codes.iter().map(|&c| f64::from(c)).collect();
            (Stored::Nibbles { signed: false }, codes)
        }
        _ => (Stored::Float(float), decoded(&groups.codes, float)),
    };
    Array { layout: parts.matrix(stored), values }
}

fn mx(random: &mut Random, parts: &Parts<'_>, element: Float) -> Vec<Array> {
    let by = |i: usize| [0.5, 1.0, 2.0][i / Mx::GROUP % 3];
    let raw: Vec<f32> = (0..parts.elements()).map(|i| random.unit() as f32 * by(i)).collect();
    let groups = Mx { element, mode: ScaleMode::Floor }.quantize(&raw);
    let by_group = parts.by_group(Mx::GROUP as u64);
    let layout = parts.part("_scales", "the scales", &by_group, Stored::Float(Float::E8M0));
    let scales = Array { layout, values: decoded(&groups.scales, Float::E8M0) };
    vec![elements(parts, &groups, element), scales]
}

fn nvfp4(random: &mut Random, parts: &Parts<'_>) -> Vec<Array> {
    let raw: Vec<f32> = (0..parts.elements()).map(|_| random.unit() as f32).collect();
    let largest = raw.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    let format = Nvfp4::for_largest(largest);
    let groups = format.quantize(&raw);
    let by_group = parts.by_group(Nvfp4::GROUP as u64);
    let layout = parts.part("_scales", "the scales", &by_group, Stored::Float(Float::E4M3FN));
    let scales = Array { layout, values: decoded(&groups.scales, Float::E4M3FN) };
    let fp32 = Stored::Float(Float::FP32);
    let layout = parts.part("_scale", "the matrix's scale", &[("matrix", 1)], fp32);
    let whole = f64::from(format.tensor.unwrap_or(1.0));
    vec![elements(parts, &groups, Float::E2M1), scales, Array { layout, values: vec![whole] }]
}

fn blocks(random: &mut Random, parts: &Parts<'_>, block: Block) -> Array {
    let raw: Vec<f32> = (0..parts.elements()).map(|_| random.unit() as f32 + 0.2).collect();
    let bytes = crate::codec::block::quantize(block, &raw)
        .expect("invariant: a checked case has whole blocks of small numbers");
    let width = parts.axes[1].1;
    let per_row = ("byte", width / block.elements() * block.bytes());
    let axes = [parts.axes[0], per_row];
    let layout = Layout::new(parts.name, parts.says, axes, Stored::Integer(Kind::U8));
    Array { layout, values: bytes.into_iter().map(f64::from).collect() }
}
