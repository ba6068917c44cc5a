//! Writing a file.

use super::{ALIGNMENT, ALIGNMENT_KEY, MAGIC, Value, kind};
use crate::formats::safetensors::Written;
use crate::formats::{FormatError, extent};
use indexmap::IndexMap;
use std::io::Write;

/// Writes a file of version 3: metadata as given, tensors in order.
///
/// # Errors
/// A kind that ggml has no type for, bytes that do not fit the shape, an alignment other than 32, or
/// a writer that fails.
pub fn file<W: Write>(
    out: &mut W,
    metadata: &IndexMap<String, Value>,
    tensors: &[Written],
) -> Result<(), FormatError> {
    if let Some(value) = metadata.get(ALIGNMENT_KEY).filter(|v| v.count() != Some(ALIGNMENT)) {
        let why = format!("files are written with {ALIGNMENT}, not {value:.40}");
        return Err(FormatError::key(ALIGNMENT_KEY, why));
    }
    let mut head = vec![];
    head.extend(MAGIC);
    head.extend(3u32.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut head, key);
        head.extend(value.type_number().to_le_bytes());
        put(&mut head, value);
    }
    let mut offset = 0u64;
    for tensor in tensors {
        info(&mut head, tensor, offset)?;
        offset = (offset + tensor.bytes.len() as u64).next_multiple_of(ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT as usize), 0);
    out.write_all(&head)?;
    for tensor in tensors {
        out.write_all(&tensor.bytes)?;
        let padding = tensor.bytes.len().next_multiple_of(ALIGNMENT as usize) - tensor.bytes.len();
        out.write_all(&vec![0; padding])?;
    }
    Ok(())
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Unsigned(bytes, n) => out.extend(&n.to_le_bytes()[..usize::from(*bytes)]),
        Value::Signed(bytes, n) => out.extend(&n.to_le_bytes()[..usize::from(*bytes)]),
        Value::F32(x) => out.extend(x.to_le_bytes()),
        Value::F64(x) => out.extend(x.to_le_bytes()),
        Value::Bool(b) => out.push(u8::from(*b)),
        Value::Text(t) => text(out, t),
        Value::Array(number, values) => {
            out.extend(number.to_le_bytes());
            out.extend((values.len() as u64).to_le_bytes());
            values.iter().for_each(|v| put(out, v));
        }
    }
}

fn info(out: &mut Vec<u8>, tensor: &Written, offset: u64) -> Result<(), FormatError> {
    let fail = |why: &str| FormatError::tensor(&tensor.name, why);
    let number = kind::number(tensor.kind).ok_or_else(|| fail("ggml has no such type"))?;
    if extent(tensor.kind, &tensor.shape, &tensor.name)? != tensor.bytes.len() as u64 {
        return Err(fail("bytes and shape differ"));
    }
    text(out, &tensor.name);
    out.extend((tensor.shape.len() as u32).to_le_bytes());
    tensor.shape.iter().rev().for_each(|d| out.extend(d.to_le_bytes()));
    out.extend(number.to_le_bytes());
    out.extend(offset.to_le_bytes());
    Ok(())
}
