//! How a tensor is stored: a plain format, groups with scales and zero points, or whole blocks.

use super::block::Block;
use super::format::Format;
use super::sparsity::Sparse;
use std::fmt;

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

/// How a tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// A format without scales.
    Plain(Format),
    /// Groups with scales.
    Scaled(Scaled),
    /// Blocks of a fixed layout.
    Block(Block),
    /// Without its zeros; weights only.
    Sparse(Sparse),
}

/// Bits in 32-bit words that `values` of `bits` each take, packed without gaps.
fn words(values: u64, bits: u32) -> f64 {
    32.0 * (values * u64::from(bits)).div_ceil(32) as f64
}

impl Scaled {
    fn groups(&self, rows: u64, columns: u64) -> f64 {
        match self.group {
            Group::Tensor => 1.0,
            Group::Row => rows as f64,
            Group::Column => columns as f64,
            Group::Size(size) => rows as f64 * columns.div_ceil(u64::from(size.max(1))) as f64,
        }
    }

    fn group_bits(&self) -> u32 {
        self.scale.bits() + if self.zero_point { self.element.bits() } else { 0 }
    }

    fn total_bits(&self, rows: u64, columns: u64) -> f64 {
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
}

impl Storage {
    /// A format without scales.
    pub const fn plain(element: Format) -> Self {
        Self::Plain(element)
    }

    /// Symmetric groups: a scale each, no zero point.
    pub const fn scaled(element: Format, scale: Format, group: Group) -> Self {
        Self::Scaled(Scaled { element, scale, group, zero_point: false, packing: Packing::Dense })
    }

    /// Exact bits of a tensor of `rows x columns` elements.
    pub fn total_bits(&self, rows: u64, columns: u64) -> f64 {
        match self {
            Self::Plain(format) => rows as f64 * columns as f64 * f64::from(format.bits()),
            Self::Scaled(scaled) => scaled.total_bits(rows, columns),
            Self::Block(block) => 8.0 * block.total_bytes(rows, columns),
            Self::Sparse(sparse) => sparse.total_bits(rows, columns),
        }
    }

    /// Bits per element of a tensor of any number of rows of `columns` elements. What the whole
    /// tensor or a column carries counts nothing here; [`Self::total_bits`] counts it.
    pub fn bits_per_element(&self, columns: u64) -> f64 {
        match self {
            Self::Plain(format) => f64::from(format.bits()),
            Self::Scaled(s) => {
                let per_row = match s.group {
                    Group::Tensor | Group::Column => 0.0,
                    Group::Row | Group::Size(_) => s.groups(1, columns),
                };
                f64::from(s.element.bits()) + per_row * f64::from(s.group_bits()) / columns as f64
            }
            Self::Block(block) => {
                let blocks = columns.div_ceil(block.elements());
                8.0 * (blocks * block.bytes()) as f64 / columns as f64
            }
            Self::Sparse(sparse) => sparse.total_bits(1, columns) / columns as f64,
        }
    }

    /// Vector operations that turn one stored element into a number: multiply by the scale, and
    /// subtract the zero point first; 0 for plain formats; a block format states its own.
    pub const fn conversion_ops(&self) -> f64 {
        match self {
            Self::Plain(_) => 0.0,
            Self::Scaled(Scaled { zero_point: false, .. }) => 1.0,
            Self::Scaled(Scaled { zero_point: true, .. }) => 2.0,
            Self::Block(block) => block.conversion_ops(),
            Self::Sparse(sparse) => sparse.dense().conversion_ops(),
        }
    }

    /// The format that an engine takes it in as it is stored; `None` where no engine does.
    pub const fn element(&self) -> Option<Format> {
        match self {
            Self::Plain(format) => Some(*format),
            Self::Scaled(scaled) => Some(scaled.element),
            Self::Block(block) => block.element(),
            Self::Sparse(sparse) => Some(sparse.element),
        }
    }

    /// Whether elements share scales.
    pub const fn is_scaled(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Scaled(_) | Self::Block(_) => true,
            Self::Sparse(sparse) => sparse.scaled.is_some(),
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(format) => f.pad(format.name()),
            Self::Scaled(scaled) => f.pad(scaled.element.name()),
            Self::Block(block) => f.pad(block.name()),
            Self::Sparse(sparse) => f.pad(&format!("{} {}", sparse.element, sparse.kept)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int4(zero_point: bool, packing: Packing) -> Storage {
        let (element, scale, group) = (Format::Int4, Format::Fp16, Group::Size(128));
        Storage::Scaled(Scaled { element, scale, group, zero_point, packing })
    }

    #[test]
    fn group_scales_count_exactly() {
        let g128 = int4(false, Packing::Dense);
        assert_eq!(g128.bits_per_element(4096), 4.125);
        assert_eq!(g128.total_bits(2, 4096), 2.0 * 4096.0 * 4.125);
        let zp = int4(true, Packing::Dense);
        assert_eq!(zp.bits_per_element(4096), 4.0 + 20.0 / 128.0);
        // A ragged last group still has its scale: 130 columns are two groups.
        assert_eq!(g128.total_bits(1, 130), 130.0 * 4.0 + 32.0);
        assert_eq!(Storage::plain(Format::Bf16).bits_per_element(7), 16.0);
        let channels = Storage::scaled(Format::Int8, Format::Fp16, Group::Column);
        assert_eq!(channels.total_bits(100, 64), 100.0 * 64.0 * 8.0 + 64.0 * 16.0);
    }

    /// The tensors that AutoGPTQ and AutoAWQ write: qweight, scales, qzeros, g_idx.
    #[test]
    fn packed_tensors_fill_words() {
        let (n, k) = (1024_u64, 4096_u64);
        let bytes = |s: Storage| s.total_bits(n, k) / 8.0;
        let parts = (n * k / 2 + k / 128 * n * 2 + k / 128 * n / 2) as f64;
        assert_eq!(bytes(int4(true, Packing::Gptq { act_order: false })), parts);
        assert_eq!(bytes(int4(true, Packing::Gptq { act_order: true })), parts + 4.0 * k as f64);
        assert_eq!(bytes(int4(true, Packing::Awq)), parts);
        // Nine channels take two words of zero points, and in AWQ two words per input.
        let gptq = int4(true, Packing::Gptq { act_order: false });
        assert_eq!(gptq.total_bits(9, 128), 9.0 * 128.0 * 4.0 + 9.0 * 16.0 + 64.0);
        assert_eq!(int4(true, Packing::Awq).total_bits(9, 128), 128.0 * 64.0 + 9.0 * 16.0 + 64.0);
    }
}
