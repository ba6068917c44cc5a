//! How a tensor is stored: element format, and the scales and zero points of its groups.

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
}

/// Element format plus what its groups carry.
///
/// A tensor of `rows x columns` elements takes
/// `rows*columns*element.bits + groups*(scale.bits + zero_point bits)` bits, where `groups` is
/// 1, `rows`, or `rows*ceil(columns/size)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Storage {
    /// Format of one element.
    pub element: Format,
    /// Format of a group's scale and which elements share it; `None` for plain formats.
    pub scale: Option<(Format, Group)>,
    /// Whether a group also carries a zero point, of the element's width.
    pub zero_point: bool,
}

impl Storage {
    /// A format without scales.
    pub const fn plain(element: Format) -> Self {
        Self { element, scale: None, zero_point: false }
    }

    /// Symmetric groups: a scale each, no zero point.
    pub const fn scaled(element: Format, scale: Format, group: Group) -> Self {
        Self { element, scale: Some((scale, group)), zero_point: false }
    }

    /// Exact bits of a tensor of `rows x columns` elements.
    pub fn total_bits(&self, rows: u64, columns: u64) -> f64 {
        let elements = rows as f64 * columns as f64;
        elements * f64::from(self.element.bits())
            + self.groups(rows, columns) * f64::from(self.group_bits())
    }

    /// Bits per element of a tensor whose rows have `columns` elements. A scale of the whole
    /// tensor counts nothing here; [`Self::total_bits`] counts it.
    pub fn bits_per_element(&self, columns: u64) -> f64 {
        let per_row = match self.scale {
            None | Some((_, Group::Tensor)) => 0.0,
            Some(_) => self.groups(1, columns),
        };
        f64::from(self.element.bits()) + per_row * f64::from(self.group_bits()) / columns as f64
    }

    /// Vector operations that turn one stored element into a number: multiply by the scale, and
    /// subtract the zero point first; 0 for plain formats.
    pub const fn conversion_ops(&self) -> f64 {
        match (self.scale, self.zero_point) {
            (None, _) => 0.0,
            (Some(_), false) => 1.0,
            (Some(_), true) => 2.0,
        }
    }

    fn groups(&self, rows: u64, columns: u64) -> f64 {
        match self.scale {
            None => 0.0,
            Some((_, Group::Tensor)) => 1.0,
            Some((_, Group::Row)) => rows as f64,
            Some((_, Group::Size(size))) => {
                rows as f64 * columns.div_ceil(u64::from(size.max(1))) as f64
            }
        }
    }

    fn group_bits(&self) -> u32 {
        let zero_point = if self.zero_point { self.element.bits() } else { 0 };
        self.scale.map_or(0, |(scale, _)| scale.bits() + zero_point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_scales_count_exactly() {
        let g128 = Storage::scaled(Format::Int4, Format::Fp16, Group::Size(128));
        assert_eq!(g128.bits_per_element(4096), 4.125);
        assert_eq!(g128.total_bits(2, 4096), 2.0 * 4096.0 * 4.125);
        let zp = Storage { zero_point: true, ..g128 };
        assert_eq!(zp.bits_per_element(4096), 4.0 + 20.0 / 128.0);
        // A ragged last group still has its scale: 130 columns are two groups.
        assert_eq!(g128.total_bits(1, 130), 130.0 * 4.0 + 32.0);
        assert_eq!(Storage::plain(Format::Bf16).bits_per_element(7), 16.0);
    }
}
