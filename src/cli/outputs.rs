//! The outputs that somebody's kernel wrote.

use super::arrays;
use super::error::Error;
use crate::diagnostic::{Diagnostic, clip};
use crate::formats::Kind;
use crate::validate::{Layout, Output};
use std::path::{Path, PathBuf};

/// Where they are.
#[derive(Debug, clap::Args)]
pub struct OutputArgs {
    /// The kernel's output: a .npy file, .npz or .safetensors, or raw little-endian elements with --dtype; of several outputs NAME=FILE each, or one file with an array per name
    #[arg(long, value_name = "FILE", required = true)]
    got: Vec<String>,
    /// Elements of a raw file: fp32, bf16, ...
    #[arg(long, value_name = "TYPE")]
    dtype: Option<String>,
    /// Extents of a raw file, with commas between; the case's unless given
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', requires = "dtype")]
    shape: Option<Vec<u64>>,
}

fn fail(path: &Path, why: &str) -> Error {
    Diagnostic::new(format!("{}: {why}", path.display())).into()
}

/// The numbers of each output.
///
/// # Errors
/// A file that cannot be read, an output without file, extents that are not the case's.
pub fn read(args: &OutputArgs, outputs: &[Output]) -> Result<Vec<Vec<f64>>, Error> {
    let files = files(&args.got, outputs)?;
    outputs.iter().zip(files).map(|(output, file)| one(args, &output.layout, &file)).collect()
}

/// A file and, where it holds several arrays, the array's name.
struct Place {
    path: PathBuf,
    array: Option<String>,
}

fn files(got: &[String], outputs: &[Output]) -> Result<Vec<Place>, Error> {
    let names = || outputs.iter().map(|o| o.layout.name.as_str());
    if let ([only], [_]) = (got, outputs) {
        return Ok(vec![Place { path: PathBuf::from(only), array: None }]);
    }
    let split = |text: &str| text.split_once('=').map(|(n, f)| (n.to_owned(), PathBuf::from(f)));
    if let ([only], None) = (got, split(&got[0])) {
        let place = |name: &str| Place { path: PathBuf::from(only), array: Some(name.to_owned()) };
        return Ok(names().map(place).collect());
    }
    let mut found = std::collections::BTreeMap::new();
    for text in got {
        let Some((name, path)) = split(text) else {
            let why = format!("`{}` is not NAME=FILE", clip(text));
            let hint = format!("the outputs are {}", names().collect::<Vec<_>>().join(", "));
            return Err(Diagnostic::new(why).hint(hint).into());
        };
        if !names().any(|n| n == name) {
            return Err(Diagnostic::unknown("output", &name, names()).into());
        }
        if found.insert(name.clone(), path).is_some() {
            return Err(Diagnostic::new(format!("output `{name}` is given twice")).into());
        }
    }
    let place = |name: &str| match found.remove(name) {
        Some(path) => Ok(Place { path, array: None }),
        None => {
            Err(Diagnostic::new(format!("output `{name}` is missing; give {name}=FILE")).into())
        }
    };
    names().map(place).collect()
}

fn one(args: &OutputArgs, layout: &Layout, place: &Place) -> Result<Vec<f64>, Error> {
    let path = &place.path;
    let (kind, shape, bytes) = match (&args.dtype, &place.array) {
        (Some(name), _) => raw(args, name, layout, path)?,
        (None, Some(array)) => arrays::named(path, array)?,
        (None, None) => arrays::only(path)?,
    };
    layout.read(kind, &shape, &bytes).map_err(|why| fail(path, &why))
}

fn raw(
    args: &OutputArgs,
    name: &str,
    layout: &Layout,
    path: &Path,
) -> Result<(Kind, Vec<u64>, Vec<u8>), Error> {
    let plain = Kind::from_name(name).filter(|k| !matches!(k, Kind::Block(_)));
    let kind = plain
        .ok_or_else(|| Diagnostic::unknown("type", name, Kind::PLAIN.iter().map(|k| k.name())))?;
    let usual = if kind == Kind::U8 { layout.file_shape() } else { layout.shape() };
    let shape = args.shape.clone().unwrap_or(usual);
    let elements = shape.iter().try_fold(1u64, |n, &m| n.checked_mul(m));
    let size = std::fs::metadata(path).map_err(|e| Error::io("read", path, &e))?.len();
    if elements.and_then(|n| kind.bytes(n)) != Some(size) {
        let why = format!("{size} bytes are not elements of {kind} in the shape {shape:?}");
        return Err(fail(path, &why));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    Ok((kind, shape, bytes))
}
