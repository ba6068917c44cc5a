//! Arrays on the command line and in files: token ids, frames, results.

use super::checkpoint::open;
use super::error::Error;
use super::files::Pending;
use crate::diagnostic::{Diagnostic, clip};
use crate::formats::{FormatError, Kind, npy, npz, safetensors, values};
use std::path::Path;

fn fail(path: &Path, why: &str) -> Error {
    Diagnostic::new(format!("{}: {why}", path.display())).into()
}

/// The array of a `.npy` file: kind, shape, bytes.
pub fn array(path: &Path) -> Result<(Kind, Vec<u64>, Vec<u8>), Error> {
    let mut file = open(path)?;
    let array = npy::array(&mut file).map_err(|e| fail(path, &e.to_string()))?;
    let bytes = array.read(&mut file).map_err(|e| fail(path, &e.to_string()))?;
    Ok((array.entry.kind, array.entry.shape, bytes))
}

/// The only array of a `.npz` or `.safetensors` file, or that of a `.npy` file.
pub fn only(path: &Path) -> Result<(Kind, Vec<u64>, Vec<u8>), Error> {
    let one = |mut names: Vec<String>| match names.len() {
        1 => Ok(names.remove(0)),
        n => Err(fail(path, &format!("it holds {n} arrays; one is expected"))),
    };
    chosen(path, one)
}

/// An array of a `.npz` or `.safetensors` file by its name.
pub fn named(path: &Path, name: &str) -> Result<(Kind, Vec<u64>, Vec<u8>), Error> {
    if !matches!(path.extension().and_then(|e| e.to_str()), Some("npz" | "safetensors")) {
        let why = "several arrays are expected";
        let message = format!("{}: {why}", path.display());
        return Err(Diagnostic::new(message)
            .hint("a .npz or .safetensors file, or NAME=FILE each")
            .into());
    }
    chosen(path, |names| match names.iter().any(|n| n == name) {
        true => Ok(name.to_owned()),
        false => {
            let unknown = Diagnostic::unknown("array", name, names.iter().map(String::as_str));
            Err(Diagnostic {
                message: format!("{}: {}", path.display(), unknown.message),
                ..unknown
            }
            .into())
        }
    })
}

/// The array that `choose` picks of the names in a file.
fn chosen(
    path: &Path,
    choose: impl Fn(Vec<String>) -> Result<String, Error>,
) -> Result<(Kind, Vec<u64>, Vec<u8>), Error> {
    let refused = |e: FormatError| fail(path, &e.to_string());
    match path.extension().and_then(|e| e.to_str()) {
        Some("npz") => {
            let mut file = open(path)?;
            let name = choose(npz::names(&mut file).map_err(refused)?)?;
            let member = npz::member(&mut file, &name).map_err(refused)?;
            Ok((member.array.entry.kind, member.array.entry.shape, member.bytes))
        }
        Some("safetensors") => {
            let mut file = open(path)?;
            let mut entries = safetensors::directory(&mut file).map_err(refused)?.entries;
            let name = choose(entries.keys().cloned().collect())?;
            let entry = entries.remove(&name).expect("invariant: the name is one of the keys");
            let bytes = entry.read(&mut file).map_err(refused)?;
            Ok((entry.kind, entry.shape, bytes))
        }
        _ => array(path),
    }
}

/// Token ids, a sequence each: numbers with commas between, or a `.npy` file of `[tokens]` or `[batch,
/// tokens]`.
pub fn tokens(text: &str) -> Result<Vec<Vec<u64>>, Error> {
    let Some(path) = Some(Path::new(text)).filter(|p| p.extension().is_some_and(|e| e == "npy"))
    else {
        let ids = text.split(',').map(|t| t.trim().parse::<u64>().map_err(|_| t));
        let ids: Result<Vec<u64>, &str> = ids.collect();
        let wrong = |t: &str| {
            let message = format!("`{}` is no token id", clip(t));
            Diagnostic::new(message).hint("numbers with commas between, or a .npy file")
        };
        return Ok(vec![ids.map_err(wrong)?]);
    };
    let (kind, shape, bytes) = array(path)?;
    let ids = values::integers(kind, &bytes);
    let ids = ids.ok_or_else(|| fail(path, &format!("token ids are integers, not {kind}")))?;
    let length = match shape.as_slice() {
        [n] | [_, n] if *n > 0 => *n as usize,
        other => {
            let why = format!("token ids have shape [tokens] or [batch, tokens], not {other:?}");
            return Err(fail(path, &why));
        }
    };
    let id =
        |&id: &i64| u64::try_from(id).map_err(|_| fail(path, &format!("token {id} is below 0")));
    let ids: Vec<u64> = ids.iter().map(id).collect::<Result<_, Error>>()?;
    Ok(ids.chunks(length).map(<[u64]>::to_vec).collect())
}

/// Frames of a `.npy` file of `[batch, channels, frames]`, channels behind frames.
pub fn frames(path: &Path, channels: u64) -> Result<(u64, u64, Vec<f64>), Error> {
    let (kind, shape, bytes) = array(path)?;
    let values = values::decode::<f64>(kind, &bytes).map_err(|e| fail(path, &e.to_string()))?;
    let (batch, frames) = match shape.as_slice() {
        &[c, frames] if c == channels => (1, frames),
        &[batch, c, frames] if c == channels => (batch, frames),
        other => {
            let why = format!("frames have shape [batch, {channels}, frames], not {other:?}");
            return Err(fail(path, &why));
        }
    };
    let (c, n) = (channels as usize, frames as usize);
    let turned = |one: &[f64]| -> Vec<f64> {
        (0..n).flat_map(|f| (0..c).map(move |channel| one[channel * n + f])).collect()
    };
    let turned = values.chunks_exact((c * n).max(1)).flat_map(turned).collect();
    Ok((batch, frames, turned))
}

/// Writes a `.npy` file.
pub fn write(path: &Path, kind: Kind, shape: &[u64], bytes: &[u8]) -> Result<(), Error> {
    let content = npy::file(kind, shape, bytes).map_err(|e| fail(path, &e.to_string()))?;
    let mut file = Pending::create(path)?;
    file.write(&content)?;
    file.finish()
}
