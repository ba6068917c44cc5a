//! Reading the directory of a file.

use super::{ALIGNMENT, ALIGNMENT_KEY, Directory, MAGIC, Value, kind};
use crate::formats::bounded::Bounded;
use crate::formats::{Entry, FormatError, extent};
use std::io::{Read, Seek};

/// Most extents of a tensor in ggml.
const MAX_DIMS: u32 = 4;
/// Deepest nesting of arrays; the format's own use is 1.
const MAX_NESTING: usize = 4;
/// Most elements of all arrays of a file; the largest vocabulary in use has 262,144 tokens.
const MAX_ELEMENTS: u64 = 1 << 23;
/// Bytes of the shortest tensor info: name length, extents, type, offset.
const MIN_INFO: u64 = 24;
/// Bytes of the shortest pair: key length, type, one byte.
const MIN_PAIR: u64 = 13;

/// The metadata and the tensors of a file.
///
/// # Errors
/// Another magic, version or byte order; a count, length or offset that leads beyond the file; a name
/// that occurs twice or is not UTF-8; a type that is not read; tensors that overlap.
pub fn directory<R: Read + Seek>(file: &mut R) -> Result<Directory, FormatError> {
    let mut file = Bounded::new(file)?;
    let magic: [u8; 4] = file.array("the magic")?;
    if &magic != MAGIC {
        return Err(FormatError::byte(0, "the file does not begin with GGUF"));
    }
    let version: [u8; 4] = file.array("the version")?;
    match u32::from_le_bytes(version) {
        2 | 3 => {}
        _ if matches!(u32::from_be_bytes(version), 2 | 3) => {
            return Err(FormatError::byte(4, "the file has its big end first, which is not read"));
        }
        other => {
            let why = format!("version {other} is not read; expected 2 or 3");
            return Err(FormatError::byte(4, why));
        }
    }
    let tensors = count(&mut file, MIN_INFO, "tensors")?;
    let pairs = count(&mut file, MIN_PAIR, "metadata values")?;
    let mut directory = Directory::default();
    let mut budget = MAX_ELEMENTS;
    for _ in 0..pairs {
        let at = file.at();
        let key = text(&mut file, "a key")?;
        let number = u32::from_le_bytes(file.array("a value's type")?);
        let value = value(&mut file, number, 0, &mut budget)?;
        if directory.metadata.insert(key.clone(), value).is_some() {
            let why = format!("key `{}` occurs twice", crate::diagnostic::clip(&key));
            return Err(FormatError::byte(at, why));
        }
    }
    for _ in 0..tensors {
        let at = file.at();
        let entry = info(&mut file)?;
        let name = entry.name.clone();
        if directory.entries.insert(name, entry).is_some() {
            return Err(FormatError::byte(at, "a tensor's name occurs twice"));
        }
    }
    place(&mut directory, file.at(), file.len())?;
    Ok(directory)
}

/// A count of things that take at least so many bytes each.
fn count<R: Read + Seek>(
    file: &mut Bounded<'_, R>,
    least: u64,
    what: &str,
) -> Result<u64, FormatError> {
    let at = file.at();
    let n = u64::from_le_bytes(file.array(what)?);
    if n > file.left() / least {
        let (left, n) = (file.left(), n);
        let why = format!("{n} {what} do not fit the {left} bytes that are left");
        return Err(FormatError::byte(at, why));
    }
    Ok(n)
}

fn text<R: Read + Seek>(file: &mut Bounded<'_, R>, what: &str) -> Result<String, FormatError> {
    let length = u64::from_le_bytes(file.array("a text's length")?);
    let at = file.at();
    let bytes = file.take(length, what)?;
    String::from_utf8(bytes).map_err(|e| {
        let broken = e.utf8_error().valid_up_to() as u64;
        FormatError::byte(at + broken, format!("{what} is not UTF-8"))
    })
}

fn value<R: Read + Seek>(
    file: &mut Bounded<'_, R>,
    number: u32,
    depth: usize,
    budget: &mut u64,
) -> Result<Value, FormatError> {
    let at = file.at();
    let what = "a value";
    Ok(match number {
        0 => Value::Unsigned(1, u8::from_le_bytes(file.array(what)?).into()),
        1 => Value::Signed(1, i8::from_le_bytes(file.array(what)?).into()),
        2 => Value::Unsigned(2, u16::from_le_bytes(file.array(what)?).into()),
        3 => Value::Signed(2, i16::from_le_bytes(file.array(what)?).into()),
        4 => Value::Unsigned(4, u32::from_le_bytes(file.array(what)?).into()),
        5 => Value::Signed(4, i32::from_le_bytes(file.array(what)?).into()),
        6 => Value::F32(f32::from_le_bytes(file.array(what)?)),
        7 => match file.array(what)? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            [other] => {
                return Err(FormatError::byte(at, format!("a truth value is {other}, not 0 or 1")));
            }
        },
        8 => Value::Text(text(file, what)?),
        9 => array(file, depth, budget)?,
        10 => Value::Unsigned(8, u64::from_le_bytes(file.array(what)?)),
        11 => Value::Signed(8, i64::from_le_bytes(file.array(what)?)),
        12 => Value::F64(f64::from_le_bytes(file.array(what)?)),
        other => return Err(FormatError::byte(at - 4, format!("value type {other} is unknown"))),
    })
}

fn array<R: Read + Seek>(
    file: &mut Bounded<'_, R>,
    depth: usize,
    budget: &mut u64,
) -> Result<Value, FormatError> {
    let at = file.at();
    if depth >= MAX_NESTING {
        return Err(FormatError::byte(at, "arrays nest too deep"));
    }
    let number = u32::from_le_bytes(file.array("an array's type")?);
    let least = match number {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        9 => 12,
        _ => 8,
    };
    let n = count(file, least, "elements of an array")?;
    *budget = budget.checked_sub(n).ok_or_else(|| {
        FormatError::byte(at, format!("arrays hold more than {MAX_ELEMENTS} elements in all"))
    })?;
    let values: Result<Vec<Value>, FormatError> =
        (0..n).map(|_| value(file, number, depth + 1, budget)).collect();
    Ok(Value::Array(number, values?))
}

/// A tensor's name, shape and kind; its offset still counts from the first tensor.
fn info<R: Read + Seek>(file: &mut Bounded<'_, R>) -> Result<Entry, FormatError> {
    let name = text(file, "a tensor's name")?;
    let at = file.at();
    let dims = u32::from_le_bytes(file.array("the number of extents")?);
    if dims > MAX_DIMS {
        let why = format!(
            "tensor `{}` has {dims} extents; at most {MAX_DIMS} are allowed",
            crate::diagnostic::clip(&name)
        );
        return Err(FormatError::byte(at, why));
    }
    let mut shape = vec![];
    for _ in 0..dims {
        shape.push(u64::from_le_bytes(file.array("an extent")?));
    }
    let at = file.at();
    let number = u32::from_le_bytes(file.array("a tensor's type")?);
    let kind = kind::of_number(number).ok_or_else(|| {
        let name = crate::diagnostic::clip(&name);
        FormatError::byte(at, format!("tensor `{name}` has type {number}, which is not read"))
    })?;
    let row = shape.first().copied().unwrap_or(1);
    let multiple = kind::row_multiple(kind);
    if !row.is_multiple_of(multiple) {
        let why = format!("rows of {row} are no whole number of {multiple} as {kind} has them");
        return Err(FormatError::tensor(&name, why));
    }
    let offset = u64::from_le_bytes(file.array("a tensor's offset")?);
    shape.reverse();
    let bytes = extent(kind, &shape, &name)?;
    Ok(Entry { name, kind, shape, offset, bytes })
}

/// Moves offsets to the file's first byte, and holds that no tensor lies outside or in another.
fn place(directory: &mut Directory, infos_end: u64, len: u64) -> Result<(), FormatError> {
    let alignment = match directory.metadata.get(ALIGNMENT_KEY) {
        None => ALIGNMENT,
        Some(value) => match value.count() {
            Some(n) if n.is_power_of_two() && (8..=1 << 20).contains(&n) => n,
            _ => {
                let why = format!("expected a power of two of at least 8, not {value:.40}");
                return Err(FormatError::key(ALIGNMENT_KEY, why));
            }
        },
    };
    let data = infos_end.next_multiple_of(alignment);
    for entry in directory.entries.values_mut() {
        let fail = |why: String| Err(FormatError::tensor(&entry.name, why));
        if !entry.offset.is_multiple_of(alignment) {
            return fail(format!("offset {} is no multiple of {alignment}", entry.offset));
        }
        let start = data.checked_add(entry.offset);
        match start.and_then(|s| s.checked_add(entry.bytes)).filter(|&end| end <= len) {
            Some(end) => entry.offset = end - entry.bytes,
            None => {
                let (offset, bytes) = (entry.offset, entry.bytes);
                return fail(format!(
                    "{bytes} bytes at offset {offset} of the data lie beyond the file's end, byte {len}"
                ));
            }
        }
    }
    let mut by_offset: Vec<&Entry> = directory.entries.values().collect();
    by_offset.sort_by_key(|e| (e.offset, e.bytes));
    for pair in by_offset.windows(2) {
        if pair[0].offset + pair[0].bytes > pair[1].offset {
            let why = format!("it overlaps tensor `{}`", crate::diagnostic::clip(&pair[1].name));
            return Err(FormatError::tensor(&pair[0].name, why));
        }
    }
    Ok(())
}
