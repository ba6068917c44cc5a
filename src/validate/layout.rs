//! How the arrays of a case lie in files.

use crate::codec::{Float, Overflow};
use crate::formats::{Kind, values};

/// The stored form of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// A float; those of 8 bits as patterns.
    Float(Float),
    /// An integer of a plain kind.
    Integer(Kind),
    /// Two integers of 4 bits in a byte, the first in the lower half; two's complement or not.
    Nibbles {
        /// From -8 to 7.
        signed: bool,
    },
}

impl Stored {
    /// Distance of neighbouring numbers at `x`.
    pub fn ulp(self, x: f64) -> f64 {
        match self {
            Self::Float(float) => float.ulp(x),
            Self::Integer(_) | Self::Nibbles { .. } => 1.0,
        }
    }

    /// The float, where it is one.
    pub const fn float(self) -> Option<Float> {
        match self {
            Self::Float(float) => Some(float),
            Self::Integer(_) | Self::Nibbles { .. } => None,
        }
    }

    /// The number that is stored for `x`.
    pub fn round(self, x: f64) -> f64 {
        self.float().map_or(x, |float| float.round(x, Overflow::Special))
    }

    /// The elements of its file.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Float(Float::FP32) => Kind::F32,
            Self::Float(Float::FP16) => Kind::F16,
            Self::Float(Float::BF16) => Kind::Bf16,
            Self::Float(_) | Self::Nibbles { .. } => Kind::U8,
            Self::Integer(kind) => kind,
        }
    }

    /// What a reader of the file must know beyond its kind.
    pub fn note(self) -> Option<String> {
        match self {
            Self::Float(Float::FP32 | Float::FP16 | Float::BF16) | Self::Integer(_) => None,
            Self::Float(float) => {
                let named = Float::ALL.iter().find(|(_, f)| *f == float);
                Some(format!("patterns of {}", named.map_or("a float", |(name, _)| name)))
            }
            Self::Nibbles { signed } => {
                let range = if signed { "-8 to 7" } else { "0 to 15" };
                Some(format!("two of 4 bits in a byte, the first in the lower half, {range}"))
            }
        }
    }

    fn bytes(self, values: &[f64]) -> Vec<u8> {
        match self {
            Self::Float(float) => {
                let pattern = |&x: &f64| float.encode(x, Overflow::Special).to_le_bytes();
                let size = float.bits().div_ceil(8) as usize;
                values.iter().flat_map(|x| pattern(x).into_iter().take(size)).collect()
            }
            Self::Integer(kind) => {
                let size = kind.bytes(1).unwrap_or(8) as usize;
                values
                    .iter()
                    .flat_map(|&x| (x as i64).to_le_bytes().into_iter().take(size))
                    .collect()
            }
            Self::Nibbles { .. } => {
                let low = |x: f64| (x as i64 & 15) as u8;
                let pair = |p: &[f64]| low(p[0]) | p.get(1).map_or(0, |&x| low(x) << 4);
                values.chunks(2).map(pair).collect()
            }
        }
    }

    fn patterns(self, bytes: &[u8]) -> Option<Vec<f64>> {
        match self {
            Self::Float(float) if self.kind() == Kind::U8 => {
                Some(bytes.iter().map(|&b| float.decode(u32::from(b))).collect())
            }
            Self::Nibbles { signed } => {
                let value = |n: u8| f64::from(n) - if signed && n > 7 { 16.0 } else { 0.0 };
                Some(bytes.iter().flat_map(|&b| [value(b & 15), value(b >> 4)]).collect())
            }
            Self::Float(_) | Self::Integer(_) => None,
        }
    }
}

/// An array without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Name of its file.
    pub name: String,
    /// What it holds.
    pub says: &'static str,
    /// Names and extents, the slowest first.
    pub axes: Vec<(&'static str, u64)>,
    /// Its elements.
    pub stored: Stored,
}

impl Layout {
    /// An array of that name.
    pub fn new(
        name: &str,
        says: &'static str,
        axes: impl Into<Vec<(&'static str, u64)>>,
        stored: Stored,
    ) -> Self {
        Self { name: name.to_owned(), says, axes: axes.into(), stored }
    }

    /// Its extents.
    pub fn shape(&self) -> Vec<u64> {
        self.axes.iter().map(|&(_, n)| n).collect()
    }

    /// Its number of elements.
    pub fn elements(&self) -> usize {
        self.axes.iter().map(|&(_, n)| n as usize).product()
    }

    /// Elements of a row: its last extent.
    pub fn width(&self) -> usize {
        self.axes.last().map_or(1, |&(_, n)| n as usize)
    }

    /// The extents of its file: bytes, where two elements share one.
    pub fn file_shape(&self) -> Vec<u64> {
        let mut shape = self.shape();
        if let (Stored::Nibbles { .. }, Some(last)) = (self.stored, shape.last_mut()) {
            *last = last.div_ceil(2);
        }
        shape
    }

    /// The content of its file.
    pub fn bytes(&self, values: &[f64]) -> Vec<u8> {
        match self.stored {
            Stored::Nibbles { .. } => {
                values.chunks(self.width().max(1)).flat_map(|row| self.stored.bytes(row)).collect()
            }
            stored => stored.bytes(values),
        }
    }

    /// The numbers of somebody's file: in its own form, or of the same extents in any plain kind.
    ///
    /// # Errors
    /// Other extents, or elements that are no numbers.
    pub fn read(&self, kind: Kind, shape: &[u64], bytes: &[u8]) -> Result<Vec<f64>, String> {
        let narrow = matches!(kind, Kind::U8 | Kind::F8E4m3 | Kind::F8E5m2 | Kind::F8E8m0);
        if narrow
            && shape == self.file_shape()
            && let Some(values) = self.stored.patterns(bytes)
        {
            return Ok(self.trimmed(values));
        }
        if shape != self.shape() {
            let axes: Vec<&str> = self.axes.iter().map(|&(name, _)| name).collect();
            let (own, axes) = (self.file_shape(), axes.join(", "));
            return Err(format!("shape {shape:?}, the case's is {own:?} ({axes})"));
        }
        values::decode(kind, bytes).map_err(|e| e.to_string())
    }

    /// Without the upper half of a row's last byte, where a row has an odd number of elements.
    fn trimmed(&self, values: Vec<f64>) -> Vec<f64> {
        let width = self.width();
        if values.len() == self.elements() {
            return values;
        }
        values.chunks(width + width % 2).flat_map(|row| row[..width].to_vec()).collect()
    }
}

/// An array of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// How it lies.
    pub layout: Layout,
    /// Its elements, exact in their stored form.
    pub values: Vec<f64>,
}

/// The arrays that a kernel is given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inputs(pub Vec<Array>);

impl Inputs {
    /// The elements of an array.
    ///
    /// # Panics
    /// No array of that name.
    pub fn of(&self, name: &str) -> &[f64] {
        let found = self.0.iter().find(|a| a.layout.name == name);
        &found.expect("invariant: a case asks for its own arrays").values
    }

    /// The same with other elements in one array.
    #[must_use]
    pub fn with(&self, name: &str, values: Vec<f64>) -> Self {
        let mut inputs = self.clone();
        inputs
            .0
            .iter_mut()
            .filter(|a| a.layout.name == name)
            .for_each(|a| a.values.clone_from(&values));
        inputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_elements_share_a_byte_and_rows_do_not() {
        let layout = Layout::new("w", "", [("n", 2), ("k", 3)], Stored::Nibbles { signed: true });
        let values = [1.0, -1.0, 7.0, -8.0, 0.0, 2.0];
        let bytes = layout.bytes(&values);
        assert_eq!(bytes, [0xf1, 0x07, 0x08, 0x02]);
        assert_eq!(layout.file_shape(), [2, 2]);
        assert_eq!(layout.read(Kind::U8, &[2, 2], &bytes), Ok(values.to_vec()));
        let plain: Vec<u8> = values.iter().map(|&x| x as i8 as u8).collect();
        assert_eq!(layout.read(Kind::I8, &[2, 3], &plain), Ok(values.to_vec()));
        assert!(layout.read(Kind::I8, &[3, 2], &plain).is_err());
    }

    #[test]
    fn narrow_floats_are_read_as_patterns_and_as_numbers() {
        let layout = Layout::new("y", "", [("n", 2)], Stored::Float(Float::E4M3FN));
        let bytes = layout.bytes(&[1.5, -448.0]);
        assert_eq!(layout.read(Kind::U8, &[2], &bytes), Ok(vec![1.5, -448.0]));
        assert_eq!(layout.read(Kind::F8E4m3, &[2], &bytes), Ok(vec![1.5, -448.0]));
        let wide = values::f32_bytes(&[1.5, -448.0]);
        assert_eq!(layout.read(Kind::F32, &[2], &wide), Ok(vec![1.5, -448.0]));
    }
}
