//! NumPy's `.npz`: a zip of `.npy` files. The archive is read by the crate `zip`.

use super::{FormatError, npy};
use std::io::{Cursor, Read, Seek};
use zip::ZipArchive;
use zip::result::ZipError;

/// Largest array that is unpacked: 4 GiB.
const MAX_BYTES: u64 = 1 << 32;

/// An array and its bytes, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name without `.npy`.
    pub name: String,
    /// Kind and shape.
    pub array: npy::Array,
    /// Its elements.
    pub bytes: Vec<u8>,
}

fn fail(error: ZipError) -> FormatError {
    match error {
        ZipError::Io(e) => FormatError::Io(e),
        other => FormatError::byte(0, format!("the file is no zip archive: {other}")),
    }
}

/// Names of the arrays of an archive, in order.
///
/// # Errors
/// A file that is no zip archive.
pub fn names<R: Read + Seek>(file: &mut R) -> Result<Vec<String>, FormatError> {
    let archive = ZipArchive::new(file).map_err(fail)?;
    let names = archive.file_names().filter_map(Result::ok);
    Ok(names.filter_map(|n| n.strip_suffix(".npy").map(str::to_owned)).collect())
}

/// One array of an archive.
///
/// # Errors
/// No array of that name, one that is too large, and as [`npy::array`].
pub fn member<R: Read + Seek>(file: &mut R, name: &str) -> Result<Member, FormatError> {
    let mut archive = ZipArchive::new(file).map_err(fail)?;
    let packed = archive.by_name(&format!("{name}.npy")).map_err(|e| match e {
        ZipError::FileNotFound => FormatError::tensor(name, "the archive has no such array"),
        other => fail(other),
    })?;
    let mut bytes = vec![];
    packed.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FormatError::tensor(
            name,
            format!("it unpacks to more than {MAX_BYTES} bytes"),
        ));
    }
    let mut unpacked = Cursor::new(bytes);
    let array = npy::array(&mut unpacked)?;
    let bytes = array.read(&mut unpacked)?;
    Ok(Member { name: name.to_owned(), array, bytes })
}
