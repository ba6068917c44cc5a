//! Safetensors: 8 bytes of header length, a JSON header, the tensors' bytes
//! (huggingface/safetensors, format description). The header is parsed by the crate `safetensors`.

use super::bounded::Bounded;
use super::{Entry, FormatError, Kind, extent};
use ::safetensors::tensor::{Dtype, Metadata, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek};

/// Longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// What a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Tensors by name.
    pub entries: BTreeMap<String, Entry>,
    /// What its writer noted.
    pub metadata: BTreeMap<String, String>,
}

/// The tensors of a file.
///
/// # Errors
/// A length beyond the file, a header that is not the format's, offsets that overlap, leave gaps or
/// lie outside, an element type that is not supported.
pub fn directory<R: Read + Seek>(file: &mut R) -> Result<Directory, FormatError> {
    let mut file = Bounded::new(file)?;
    let length = u64::from_le_bytes(file.array("the header's length")?);
    if length > MAX_HEADER {
        let why = format!("the header's length is {length}; the format allows {MAX_HEADER} bytes");
        return Err(FormatError::byte(0, why));
    }
    let header = file.take(length, "the header")?;
    let found: Metadata = serde_json::from_slice(&header)
        .map_err(|e| FormatError::byte(8, format!("header: {e}")))?;
    let data = file.at();
    if found.data_len() as u64 != file.left() {
        let (stated, left) = (found.data_len(), file.left());
        let why = format!("the header describes {stated} bytes of tensors, the file holds {left}");
        return Err(FormatError::byte(data, why));
    }
    let mut directory = Directory::default();
    for (name, info) in found.tensors() {
        let kind = kind(info.dtype)
            .ok_or_else(|| FormatError::tensor(&name, format!("{:?} is not read", info.dtype)))?;
        let shape: Vec<u64> = info.shape.iter().map(|&d| d as u64).collect();
        let bytes = extent(kind, &shape, &name)?;
        let offset = data + info.data_offsets.0 as u64;
        let entry = Entry { name: name.clone(), kind, shape, offset, bytes };
        directory.entries.insert(name, entry);
    }
    directory.metadata = found.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(directory)
}

fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::BOOL => Kind::Bool,
        Dtype::U8 => Kind::U8,
        Dtype::I8 => Kind::I8,
        Dtype::U16 => Kind::U16,
        Dtype::I16 => Kind::I16,
        Dtype::U32 => Kind::U32,
        Dtype::I32 => Kind::I32,
        Dtype::U64 => Kind::U64,
        Dtype::I64 => Kind::I64,
        Dtype::F16 => Kind::F16,
        Dtype::BF16 => Kind::Bf16,
        Dtype::F32 => Kind::F32,
        Dtype::F64 => Kind::F64,
        Dtype::F8_E4M3 => Kind::F8E4m3,
        Dtype::F8_E5M2 => Kind::F8E5m2,
        Dtype::F8_E8M0 => Kind::F8E8m0,
        _ => return None,
    })
}

fn dtype(kind: Kind) -> Option<Dtype> {
    Some(match kind {
        Kind::Bool => Dtype::BOOL,
        Kind::U8 => Dtype::U8,
        Kind::I8 => Dtype::I8,
        Kind::U16 => Dtype::U16,
        Kind::I16 => Dtype::I16,
        Kind::U32 => Dtype::U32,
        Kind::I32 => Dtype::I32,
        Kind::U64 => Dtype::U64,
        Kind::I64 => Dtype::I64,
        Kind::F16 => Dtype::F16,
        Kind::Bf16 => Dtype::BF16,
        Kind::F32 => Dtype::F32,
        Kind::F64 => Dtype::F64,
        Kind::F8E4m3 => Dtype::F8_E4M3,
        Kind::F8E5m2 => Dtype::F8_E5M2,
        Kind::F8E8m0 => Dtype::F8_E8M0,
        Kind::Block(_) => return None,
    })
}

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// How its elements are stored; no blocks.
    pub kind: Kind,
    /// Its extents, the slowest first.
    pub shape: Vec<u64>,
    /// Its elements.
    pub bytes: Vec<u8>,
}

/// A whole file.
///
/// # Errors
/// Blocks, or bytes that do not fit the shape.
pub fn file(
    tensors: &[Written],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, FormatError> {
    let views = tensors.iter().map(|t| {
        let fail = |why: String| FormatError::tensor(&t.name, why);
        let dtype = dtype(t.kind).ok_or_else(|| fail(format!("{} has no place here", t.kind)))?;
        let shape = t.shape.iter().map(|&d| d as usize).collect();
        let view = TensorView::new(dtype, shape, &t.bytes).map_err(|e| fail(e.to_string()))?;
        Ok((t.name.as_str(), view))
    });
    let views: Vec<(&str, TensorView<'_>)> = views.collect::<Result<_, FormatError>>()?;
    let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
    let metadata = (!metadata.is_empty()).then_some(metadata);
    ::safetensors::serialize(views, metadata).map_err(|e| FormatError::byte(0, e.to_string()))
}
