//! A reader that knows how long its file is, and refuses to go beyond before anything is allocated.

use super::FormatError;
use std::io::{Read, Seek, SeekFrom};

/// A file, where one is in it, and its length.
#[derive(Debug)]
pub(super) struct Bounded<'a, R> {
    file: &'a mut R,
    at: u64,
    len: u64,
}

impl<'a, R: Read + Seek> Bounded<'a, R> {
    /// From the first byte.
    pub(super) fn new(file: &'a mut R) -> Result<Self, FormatError> {
        let len = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { file, at: 0, len })
    }

    /// The next byte's offset.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Bytes of the file.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Bytes behind the next.
    pub(super) const fn left(&self) -> u64 {
        self.len - self.at
    }

    /// The next bytes, for `what` the message names.
    pub(super) fn take(&mut self, bytes: u64, what: &str) -> Result<Vec<u8>, FormatError> {
        if bytes > self.left() {
            let why = format!("{what} takes {bytes} bytes, but the file ends at byte {}", self.len);
            return Err(FormatError::byte(self.at, why));
        }
        let mut taken = vec![0; bytes as usize];
        self.file.read_exact(&mut taken)?;
        self.at += bytes;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], FormatError> {
        let mut taken = [0; N];
        taken.copy_from_slice(&self.take(N as u64, what)?);
        Ok(taken)
    }
}
