//! Values of the metadata.

use std::fmt;

/// A value, as typed in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Types 0, 2, 4 and 10.
    Unsigned(u8, u64),
    /// Types 1, 3, 5 and 11.
    Signed(u8, i64),
    /// Type 6.
    F32(f32),
    /// Type 12.
    F64(f64),
    /// Type 7.
    Bool(bool),
    /// Type 8.
    Text(String),
    /// Type 9: the type of the elements and the elements.
    Array(u32, Vec<Value>),
}

impl Value {
    /// A number of 32 bits.
    pub fn u32(value: u32) -> Self {
        Self::Unsigned(4, value.into())
    }

    /// A text.
    pub fn of_text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is none with a fraction or below 0.
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Unsigned(_, n) => Some(*n),
            Self::Signed(_, n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Unsigned(_, n) => Some(*n as f64),
            Self::Signed(_, n) => Some(*n as f64),
            Self::F32(x) => Some(f64::from(*x)),
            Self::F64(x) => Some(*x),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub const fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(_, values) => Some(values),
            _ => None,
        }
    }

    /// The file format's number of its type.
    pub const fn type_number(&self) -> u32 {
        match self {
            Self::Unsigned(8, _) => 10,
            Self::Unsigned(bytes, _) => *bytes as u32 & !1,
            Self::Signed(8, _) => 11,
            Self::Signed(bytes, _) => (*bytes as u32 & !1) + 1,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::Text(_) => 8,
            Self::Array(..) => 9,
            Self::F64(_) => 12,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Unsigned(_, n) => n.to_string(),
            Self::Signed(_, n) => n.to_string(),
            Self::F32(x) => x.to_string(),
            Self::F64(x) => x.to_string(),
            Self::Bool(b) => b.to_string(),
            Self::Text(text) => format!("`{}`", crate::diagnostic::clip(text)),
            Self::Array(_, values) => format!("an array of {}", values.len()),
        };
        f.pad(&text)
    }
}
