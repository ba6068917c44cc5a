//! What is wrong with a file of tensors.

/// A file that cannot be read as what it should be.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Something in the bytes.
    #[error("byte {at}: {why}")]
    Byte {
        /// Where, counted from 0.
        at: u64,
        /// What was found and expected.
        why: String,
    },
    /// Something about a named entry.
    #[error("tensor `{name}`: {why}")]
    Tensor {
        /// The entry.
        name: String,
        /// What was found and expected.
        why: String,
    },
    /// Something about a named value of the file's metadata.
    #[error("key `{key}`: {why}")]
    Key {
        /// The key.
        key: String,
        /// What was found and expected.
        why: String,
    },
    /// The system cannot read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl FormatError {
    /// Something in the bytes.
    pub fn byte(at: u64, why: impl Into<String>) -> Self {
        Self::Byte { at, why: why.into() }
    }

    /// Something about a named entry.
    pub fn tensor(name: &str, why: impl Into<String>) -> Self {
        Self::Tensor { name: crate::diagnostic::clip(name), why: why.into() }
    }

    /// Something about a named value.
    pub fn key(key: &str, why: impl Into<String>) -> Self {
        Self::Key { key: crate::diagnostic::clip(key), why: why.into() }
    }
}
