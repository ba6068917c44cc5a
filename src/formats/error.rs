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
    /// Something about an entry.
    #[error("{}: {why}", entry(.name))]
    Tensor {
        /// The entry; empty where the file holds but one.
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

fn entry(name: &str) -> String {
    if name.is_empty() { "the array".to_owned() } else { format!("tensor `{name}`") }
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
