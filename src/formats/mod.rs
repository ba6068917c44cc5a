//! File containers of tensors: `.npy`, `.npz`, safetensors and GGUF, read over `Read + Seek`.
//!
//! A directory of a file is read first and checked whole against the file's length: no size that a file
//! states is allocated or sought before it is known to lie inside the file. Tensors are read one by
//! one. Bytes are handed out as they lie; [`values`] turns those of plain kinds into numbers, blocks
//! are the affair of [`crate::codec`].

mod bounded;
mod error;
pub mod gguf;
mod kind;
pub mod npy;
pub mod npz;
pub mod safetensors;
pub mod values;

pub use error::FormatError;
pub use kind::Kind;

use std::io::{Read, Seek, SeekFrom};

/// Where a tensor lies in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; empty in a `.npy` file.
    pub name: String,
    /// How its elements are stored.
    pub kind: Kind,
    /// Its extents, the slowest first.
    pub shape: Vec<u64>,
    /// First byte in the file.
    pub offset: u64,
    /// Bytes that it takes.
    pub bytes: u64,
}

impl Entry {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Its bytes.
    ///
    /// # Errors
    /// A file that became shorter, or cannot be read.
    pub fn read<R: Read + Seek>(&self, file: &mut R) -> Result<Vec<u8>, FormatError> {
        let mut bytes = vec![0; self.bytes as usize];
        file.seek(SeekFrom::Start(self.offset))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Elements of a shape and the bytes that they take; refuses what overflows.
fn extent(kind: Kind, shape: &[u64], name: &str) -> Result<u64, FormatError> {
    let elements = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
    let bytes = elements.and_then(|n| kind.bytes(n));
    bytes.ok_or_else(|| {
        let why =
            format!("shape {shape:?} of {} is no whole number of bytes below 2^63", kind.name());
        FormatError::tensor(name, why)
    })
}
