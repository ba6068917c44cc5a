//! How a tensor is stored: a plain format, groups with scales and zero points, or whole blocks.

use super::block::Block;
use super::format::Format;
use super::scaled::{Group, Packing, Scaled};
use super::sparsity::{Sparse, Sparsity};
use std::fmt;

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

impl Storage {
    /// A format without scales.
    pub const fn plain(element: Format) -> Self {
        Self::Plain(element)
    }

    /// Symmetric groups: a scale each, no zero point.
    pub const fn scaled(element: Format, scale: Format, group: Group) -> Self {
        Self::Scaled(Scaled { element, scale, group, zero_point: false, packing: Packing::Dense })
    }

    /// The same with zeros left out; `None` where the layout has no place for that: blocks, and
    /// elements packed into words.
    pub fn sparse(&self, kept: Sparsity) -> Option<Self> {
        Some(Self::Sparse(match self {
            Self::Plain(element) => Sparse { element: *element, scaled: None, kept },
            Self::Scaled(scaled) if scaled.packing == Packing::Dense => {
                Sparse { element: scaled.element, scaled: Some(*scaled), kept }
            }
            Self::Scaled(_) | Self::Block(_) | Self::Sparse(_) => return None,
        }))
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
            Self::Scaled(scaled) => scaled.conversion_ops(),
            Self::Block(block) => block.conversion_ops(),
            Self::Sparse(sparse) => sparse.conversion_ops(),
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
