//! GGUF, the file format of ggml (ggml-org/ggml, `docs/gguf.md`), versions 2 and 3, little end first:
//! magic, version, counts, metadata, tensor infos, padding, the tensors' bytes.

mod kind;
mod read;
mod value;
mod write;

pub use read::directory;
pub use value::Value;
pub use write::file;

use super::{Entry, FormatError};
use indexmap::IndexMap;

const MAGIC: &[u8; 4] = b"GGUF";
/// The alignment of tensors where a file states none.
const ALIGNMENT: u64 = 32;
/// The key that states one.
const ALIGNMENT_KEY: &str = "general.alignment";

/// What a file holds, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Directory {
    /// Values by key.
    pub metadata: IndexMap<String, Value>,
    /// Tensors by name.
    pub entries: IndexMap<String, Entry>,
}

impl Directory {
    /// A value that must be there.
    ///
    /// # Errors
    /// A key that is missing.
    pub fn value(&self, key: &str) -> Result<&Value, FormatError> {
        self.metadata.get(key).ok_or_else(|| FormatError::key(key, "the file's metadata lacks it"))
    }

    /// A text.
    ///
    /// # Errors
    /// A key that is missing, or is no text.
    pub fn text(&self, key: &str) -> Result<&str, FormatError> {
        let value = self.value(key)?;
        value
            .text()
            .ok_or_else(|| FormatError::key(key, format!("expected a text, not {value:.40}")))
    }

    /// A number that is no fraction and not negative.
    ///
    /// # Errors
    /// A key that is missing, or is no such number.
    pub fn count(&self, key: &str) -> Result<u64, FormatError> {
        let value = self.value(key)?;
        value.count().ok_or_else(|| {
            FormatError::key(key, format!("expected a number of at least 0, not {value:.40}"))
        })
    }

    /// A number.
    ///
    /// # Errors
    /// A key that is missing, or is no number.
    pub fn number(&self, key: &str) -> Result<f64, FormatError> {
        let value = self.value(key)?;
        value
            .number()
            .ok_or_else(|| FormatError::key(key, format!("expected a number, not {value:.40}")))
    }
}
