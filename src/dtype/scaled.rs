//! Elements in groups that share a scale, and how they are packed.

use super::format::Format;

/// The elements that share one scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// The whole tensor.
    Tensor,
    /// One row: an output channel of a weight, a token of an activation, a head of a KV entry.
    Row,
    /// This many neighbours of a row; the last group of a row may be shorter.
    Size(u32),
    /// One column: a channel of a KV cache, with a scale fixed before (A21).
    Column,
}

/// How elements and zero points lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Packing {
    /// Bit behind bit.
    Dense,
    /// GPTQ (AutoGPTQ's tensors): elements in 32-bit words along a row, zero points in 32-bit words
    /// along the channels.
    Gptq {
        /// Columns in the order of their activations: a 32-bit group index per column.
        act_order: bool,
    },
    /// AWQ (AutoAWQ's tensors): elements and zero points in 32-bit words along the channels.
    Awq,
}

/// Elements in groups that share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scaled {
    /// Format of one element.
    pub element: Format,
    /// Format of a group's scale.
    pub scale: Format,
    /// Which elements share it.
    pub group: Group,
    /// Whether a group also carries a zero point, of the element's width.
    pub zero_point: bool,
    /// How it lies in memory.
    pub packing: Packing,
}

/// Bits in 32-bit words that `values` of `bits` each take, packed without gaps.
fn words(values: u64, bits: u32) -> f64 {
    32.0 * (values * u64::from(bits)).div_ceil(32) as f64
}

impl Scaled {
    pub(super) fn groups(&self, rows: u64, columns: u64) -> f64 {
        match self.group {
            Group::Tensor => 1.0,
            Group::Row => rows as f64,
            Group::Column => columns as f64,
            Group::Size(size) => rows as f64 * columns.div_ceil(u64::from(size.max(1))) as f64,
        }
    }

    pub(super) fn group_bits(&self) -> u32 {
        self.scale.bits() + if self.zero_point { self.element.bits() } else { 0 }
    }

    /// Exact bits of a tensor of `rows x columns` elements.
    pub(super) fn total_bits(&self, rows: u64, columns: u64) -> f64 {
        let bits = self.element.bits();
        let groups = self.groups(rows, columns);
        let act_order = match self.packing {
            Packing::Dense => {
                let elements = rows as f64 * columns as f64 * f64::from(bits);
                return elements + groups * f64::from(self.group_bits());
            }
            Packing::Gptq { act_order } => act_order,
            Packing::Awq => false,
        };
        let elements = match self.packing {
            Packing::Awq => columns as f64 * words(rows, bits),
            _ => rows as f64 * words(columns, bits),
        };
        let per_channel = groups / rows as f64;
        let zeros = if self.zero_point { per_channel * words(rows, bits) } else { 0.0 };
        let index = if act_order { 32.0 * columns as f64 } else { 0.0 };
        elements + groups * f64::from(self.scale.bits()) + zeros + index
    }

    /// Vector operations that turn one stored element into a number: multiply by the scale, and subtract
    /// the zero point first.
    pub(super) const fn conversion_ops(&self) -> f64 {
        if self.zero_point { 2.0 } else { 1.0 }
    }
}
