//! Weights with zeros that are not stored: 2:4 structured, or any share of elements with an index.

use super::format::Format;
use super::scaled::Scaled;
use std::fmt;

/// Which elements of a row are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sparsity {
    /// Two of every four neighbours of a row (Mishra et al., arXiv 2104.08378).
    TwoOfFour,
    /// This share of all elements, in millionths, anywhere.
    Density(u32),
}

/// A sparse matrix: the elements that are kept, where they stand, and the scales of the dense one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sparse {
    /// Format of one element.
    pub element: Format,
    /// Scales and zero points, which zeros do not change.
    pub scaled: Option<Scaled>,
    /// Which elements are kept.
    pub kept: Sparsity,
}

/// How the places of kept elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// Per group of four, the places of the two that are kept.
    Metadata,
    /// A bit per element.
    Bitmap,
    /// Per kept element its column, per row where it starts.
    Csr,
}

impl Sparsity {
    /// Shares of millionths.
    const WHOLE: u32 = 1_000_000;

    /// The share of elements that are kept.
    pub fn density(self) -> f64 {
        match self {
            Self::TwoOfFour => 0.5,
            Self::Density(share) => f64::from(share) / f64::from(Self::WHOLE),
        }
    }
}

impl std::str::FromStr for Sparsity {
    type Err = String;

    /// `2:4`, or a density above 0 and at most 1.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "2:4" {
            return Ok(Self::TwoOfFour);
        }
        let share = text.parse::<f64>().map(|d| d * f64::from(Self::WHOLE));
        match share {
            Ok(share) if (1.0..=f64::from(Self::WHOLE)).contains(&share) => {
                Ok(Self::Density(share.round() as u32))
            }
            _ => {
                Err("expected 2:4, or the density of the weights, above 0 and at most 1".to_owned())
            }
        }
    }
}

impl fmt::Display for Sparsity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoOfFour => f.write_str("2:4"),
            Self::Density(_) => write!(f, "{}", self.density()),
        }
    }
}

impl Sparse {
    /// Vector operations that turn one stored element into a number.
    pub(super) const fn conversion_ops(&self) -> f64 {
        match self.scaled {
            Some(scaled) => scaled.conversion_ops(),
            None => 0.0,
        }
    }

    /// Elements kept of a tensor of `rows x columns`.
    fn elements(&self, rows: u64, columns: u64) -> f64 {
        match self.kept {
            Sparsity::TwoOfFour => rows as f64 * (2 * columns.div_ceil(4)) as f64,
            Sparsity::Density(_) => (rows as f64 * columns as f64 * self.kept.density()).ceil(),
        }
    }

    /// The smallest index of a tensor, and its bits (A62).
    ///
    /// 2:4 takes two bits per kept element of 8 bits or more; narrower ones are kept in pairs, so that
    /// it is two bits per pair (PTX ISA, sparse `mma`). Else a bitmap, one bit per element, or as in
    /// CSR a column number per kept element and 32 bits per row and one more.
    pub fn index(&self, rows: u64, columns: u64) -> (Index, f64) {
        let kept = self.elements(rows, columns);
        if self.kept == Sparsity::TwoOfFour {
            let bits = if self.element.bits() < 8 { 1.0 } else { 2.0 };
            return (Index::Metadata, kept * bits);
        }
        let bitmap = rows as f64 * columns as f64;
        let column = f64::from(u64::BITS - columns.saturating_sub(1).leading_zeros()).max(1.0);
        let csr = kept * column + 32.0 * (rows + 1) as f64;
        if csr < bitmap { (Index::Csr, csr) } else { (Index::Bitmap, bitmap) }
    }

    /// Exact bits of a tensor of `rows x columns` elements.
    pub fn total_bits(&self, rows: u64, columns: u64) -> f64 {
        let bits = f64::from(self.element.bits());
        let elements = rows as f64 * columns as f64 * bits;
        let scales = self.scaled.map_or(0.0, |s| s.total_bits(rows, columns) - elements);
        self.elements(rows, columns) * bits + scales + self.index(rows, columns).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::{Group, Storage};

    fn sparse(dense: Storage, kept: &str) -> Sparse {
        match dense.sparse(kept.parse().expect("a sparsity")) {
            Some(Storage::Sparse(sparse)) => sparse,
            other => panic!("{other:?} is not sparse"),
        }
    }

    #[test]
    fn two_of_four_keeps_half_and_two_bits_each() {
        let bits = |element, kept: &str| {
            sparse(Storage::plain(element), kept).total_bits(8, 64) / (8.0 * 64.0)
        };
        assert_eq!(bits(Format::Bf16, "2:4"), 9.0);
        assert_eq!(bits(Format::Int8, "2:4"), 5.0);
        assert_eq!(bits(Format::Int4, "2:4"), 2.5);
        let scaled = Storage::scaled(Format::Int8, Format::Fp16, Group::Row);
        assert_eq!(sparse(scaled, "2:4").total_bits(8, 64), 8.0 * 64.0 * 5.0 + 8.0 * 16.0);
    }

    #[test]
    fn the_smaller_index_is_taken() {
        let at = |density: &str| sparse(Storage::plain(Format::Bf16), density).index(4096, 4096);
        assert_eq!(at("0.5"), (Index::Bitmap, 4096.0 * 4096.0));
        // 12 bits per column number: below 1/12 the list is shorter.
        let kept = (4096.0_f64 * 4096.0 * 0.05).ceil();
        assert_eq!(at("0.05"), (Index::Csr, kept * 12.0 + 32.0 * 4097.0));
        let all = sparse(Storage::plain(Format::Bf16), "1").total_bits(4, 8);
        assert_eq!(all, 4.0 * 8.0 * 17.0);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "0", "-0.5", "1.5", "4:8", "nan", "0.0000001"] {
            assert!(bad.parse::<Sparsity>().is_err(), "{bad}");
        }
    }
}
