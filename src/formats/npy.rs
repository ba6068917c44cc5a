//! NumPy's `.npy` (NEP 1): magic, version, a header that is a Python literal, the elements. The
//! header is parsed by the crate `py_literal`.

use super::bounded::Bounded;
use super::{Entry, FormatError, Kind, extent};
use crate::diagnostic::clip;
use py_literal::Value;
use std::io::{Read, Seek};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header that is read; NumPy writes 118 bytes for any plain array.
const MAX_HEADER: u64 = 1 << 16;
/// Deepest nesting of brackets in a header; a plain array's has 2.
const MAX_NESTING: i32 = 4;

/// An array in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// Kind, shape and place; the name is empty.
    pub entry: Entry,
    /// The first index varies fastest.
    pub fortran: bool,
    /// The elements lie with their big end first.
    pub big_endian: bool,
}

/// What a file holds.
///
/// # Errors
/// Another magic or version, a header that is not the format's, elements that are not numbers, a
/// shape that the file is too short or too long for.
pub fn array<R: Read + Seek>(file: &mut R) -> Result<Array, FormatError> {
    let mut file = Bounded::new(file)?;
    let magic: [u8; 6] = file.array("the magic")?;
    if &magic != MAGIC {
        return Err(FormatError::byte(0, "the file does not begin with \\x93NUMPY: it is no .npy"));
    }
    let [major, minor] = file.array("the version")?;
    let length = match major {
        1 => u64::from(u16::from_le_bytes(file.array("the header's length")?)),
        2 | 3 => u64::from(u32::from_le_bytes(file.array("the header's length")?)),
        _ => return Err(FormatError::byte(6, format!("version {major}.{minor} is unknown"))),
    };
    if length > MAX_HEADER {
        let why = format!("the header's length is {length}; at most {MAX_HEADER} bytes are read");
        return Err(FormatError::byte(8, why));
    }
    let start = file.at();
    let text = file.take(length, "the header")?;
    let Header { kind, big_endian, fortran, shape } = header(&text, start)?;
    let bytes = extent(kind, &shape, "")?;
    if bytes != file.left() {
        let left = file.left();
        let why = format!("shape {shape:?} of {kind} takes {bytes} bytes, the file holds {left}");
        return Err(FormatError::byte(file.at(), why));
    }
    let entry = Entry { name: String::new(), kind, shape, offset: file.at(), bytes };
    Ok(Array { entry, fortran, big_endian })
}

struct Header {
    kind: Kind,
    big_endian: bool,
    fortran: bool,
    shape: Vec<u64>,
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}`.
fn header(text: &[u8], start: u64) -> Result<Header, FormatError> {
    let mut depth = 0;
    for (at, byte) in (start..).zip(text) {
        depth += i32::from(b"([{".contains(byte)) - i32::from(b")]}".contains(byte));
        if depth > MAX_NESTING {
            return Err(FormatError::byte(at, "brackets of the header nest too deep"));
        }
    }
    let fail = |why: &str| FormatError::byte(start, format!("the header {why}"));
    let text = str::from_utf8(text).map_err(|_| fail("is not UTF-8"))?;
    let literal: Value =
        text.trim().parse().map_err(|_| fail("is no literal of Python, as `{'descr': ...}` is"))?;
    let Value::Dict(pairs) = literal else { return Err(fail("is no dictionary")) };
    let value = |key: &str| {
        let found = pairs.iter().find(|(k, _)| matches!(k, Value::String(k) if k == key));
        found.map(|(_, value)| value).ok_or_else(|| fail(&format!("lacks `{key}`")))
    };
    let Value::String(descr) = value("descr")? else {
        return Err(fail("has a `descr` of fields; arrays of records are not read"));
    };
    let (kind, big_endian) = kind(descr)
        .ok_or_else(|| fail(&format!("has type `{}`, which is not read", clip(descr))))?;
    let Value::Boolean(fortran) = *value("fortran_order")? else {
        return Err(fail("has a `fortran_order` that is neither True nor False"));
    };
    let Value::Tuple(extents) = value("shape")? else {
        return Err(fail("has a `shape` that is no tuple"));
    };
    let extent = |v: &Value| match v {
        Value::Integer(n) => u64::try_from(n).ok(),
        _ => None,
    };
    let shape = extents.iter().map(extent).collect::<Option<Vec<u64>>>();
    let shape = shape.ok_or_else(|| fail("has an extent that is no number of at least 0"))?;
    Ok(Header { kind, big_endian, fortran, shape })
}

/// The kind of NumPy's name for a type, and whether the big end comes first.
fn kind(descr: &str) -> Option<(Kind, bool)> {
    let (order, name) = descr.split_at_checked(1)?;
    let kind = match name {
        "b1" => Kind::Bool,
        "i1" => Kind::I8,
        "i2" => Kind::I16,
        "i4" => Kind::I32,
        "i8" => Kind::I64,
        "u1" => Kind::U8,
        "u2" => Kind::U16,
        "u4" => Kind::U32,
        "u8" => Kind::U64,
        "f2" => Kind::F16,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        // NumPy knows no bfloat16: `ml_dtypes` writes its arrays as two raw bytes an element, and its
        // 8-bit floats as one.
        "V2" => Kind::Bf16,
        "V1" => Kind::U8,
        _ => return None,
    };
    matches!(order, "<" | ">" | "|" | "=").then_some((kind, order == ">"))
}

impl Array {
    /// Its bytes, little end first and the last index fastest.
    ///
    /// # Errors
    /// A file that became shorter, or cannot be read.
    pub fn read<R: Read + Seek>(&self, file: &mut R) -> Result<Vec<u8>, FormatError> {
        let mut bytes = self.entry.read(file)?;
        let size = self.entry.kind.bytes(1).unwrap_or(1) as usize;
        if self.big_endian {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        Ok(if self.fortran { row_major(&bytes, size, &self.entry.shape) } else { bytes })
    }
}

/// Elements whose first index varies fastest, with the last fastest.
fn row_major(bytes: &[u8], size: usize, shape: &[u64]) -> Vec<u8> {
    let mut strides = vec![1; shape.len()];
    for d in 1..shape.len() {
        strides[d] = strides[d - 1] * shape[d - 1] as usize;
    }
    let mut index = vec![0u64; shape.len()];
    let mut out = Vec::with_capacity(bytes.len());
    for _ in 0..bytes.len() / size {
        let at: usize = index.iter().zip(&strides).map(|(&i, s)| i as usize * s).sum();
        out.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        for d in (0..shape.len()).rev() {
            index[d] += 1;
            if index[d] < shape[d] {
                break;
            }
            index[d] = 0;
        }
    }
    out
}

/// A whole file of version 1, the data aligned to 64 bytes as NumPy has it.
///
/// # Errors
/// Blocks, which NumPy cannot hold.
pub fn file(kind: Kind, shape: &[u64], bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    let descr = match kind {
        Kind::Bool => "|b1",
        Kind::U8 => "|u1",
        Kind::I8 => "|i1",
        Kind::U16 => "<u2",
        Kind::I16 => "<i2",
        Kind::U32 => "<u4",
        Kind::I32 => "<i4",
        Kind::U64 => "<u8",
        Kind::I64 => "<i8",
        Kind::F16 => "<f2",
        Kind::Bf16 => "<V2",
        Kind::F32 => "<f4",
        Kind::F64 => "<f8",
        Kind::F8E4m3 | Kind::F8E5m2 | Kind::F8E8m0 => "|V1",
        Kind::Block(_) => return Err(FormatError::tensor("", format!("{kind} is no NumPy type"))),
    };
    if extent(kind, shape, "")? != bytes.len() as u64 {
        return Err(FormatError::tensor("", "bytes and shape differ"));
    }
    let extents: String = shape.iter().map(|d| format!("{d},")).collect();
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extents}), }}");
    let whole = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header.push_str(&" ".repeat(whole - 1 - header.len()));
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    Ok([&MAGIC[..], &[1, 0], &length, header.as_bytes(), bytes].concat())
}
