//! Models with their weights: a folder with `config.json` and safetensors, or a GGUF file.

use super::error::Error;
use super::files;
use crate::diagnostic::{Diagnostic, clip};
use crate::formats::gguf;
use crate::model::checkpoint::Layout;
use crate::model::{Architecture, BuildOptions, Graphs, Output, id_of, import};
use crate::tokenizer::Tokenizer;
use crate::weights::{Checkpoint, WeightError, architecture};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The index of a checkpoint in several files.
const INDEX: &str = "model.safetensors.index.json";

/// A model that can be run.
pub struct Loaded {
    /// What it is.
    pub arch: Architecture,
    /// What it ends in.
    pub output: Output,
    /// Its graphs.
    pub graphs: Graphs,
    /// Its weights.
    pub checkpoint: Checkpoint<File>,
    /// Its tokenizer, or why there is none.
    pub tokenizer: Result<Tokenizer, String>,
}

fn fail(path: &Path, why: &str) -> Diagnostic {
    Diagnostic::new(format!("{}: {why}", path.display()))
}

/// Opens a file.
pub fn open(path: &Path) -> Result<File, Error> {
    if path.is_dir() {
        return Err(fail(path, "it is a folder").hint("name a file in it").into());
    }
    File::open(path).map_err(|e| Error::io("read", path, &e))
}

fn refused(error: WeightError) -> Diagnostic {
    match error {
        WeightError::Missing { ref hint, .. } => {
            let hint = hint.clone();
            Diagnostic::new(error.to_string()).hint(hint)
        }
        WeightError::Unused { .. } => {
            Diagnostic::new(error.to_string()).hint("is the config.json that of these weights?")
        }
        other => Diagnostic::new(other.to_string()),
    }
}

/// Opens a model.
pub fn load(name: &str, options: &BuildOptions) -> Result<Loaded, Error> {
    let path = Path::new(name);
    if path.is_dir() { folder(path, options) } else { gguf_file(path, options) }
}

fn folder(path: &Path, options: &BuildOptions) -> Result<Loaded, Error> {
    let config = path.join("config.json");
    let source = files::read(&config.to_string_lossy())?;
    let id = id_of(&config.to_string_lossy());
    let (arch, family, output) = import::checkpoint_source(&source, &id)?;
    let options = &BuildOptions { output, ..*options };
    let layout = Layout::of_family(family)
        .ok_or_else(|| fail(&config, &format!("checkpoints of `{family}` are not read")))?;
    let mut opened = vec![];
    for name in parts(path)? {
        opened.push((name.clone(), open(&path.join(&name))?));
    }
    let checkpoint = Checkpoint::safetensors(opened, (arch.clone(), layout)).map_err(refused)?;
    let json = path.join("tokenizer.json");
    let tokenizer = match std::fs::read(&json) {
        Ok(bytes) => Tokenizer::from_json(&bytes).map_err(|e| e.to_string()),
        Err(_) => Err(format!("{} is not there", json.display())),
    };
    finish(arch, options, checkpoint, tokenizer)
}

/// Names of the files with weights.
fn parts(path: &Path) -> Result<Vec<String>, Error> {
    let index = path.join(INDEX);
    if index.is_file() {
        let source = files::read(&index.to_string_lossy())?;
        let json: serde_json::Value = serde_json::from_str(&source.text)
            .map_err(|e| fail(&index, &format!("not JSON: {e}")))?;
        let map = json.get("weight_map").and_then(|m| m.as_object());
        let map = map.ok_or_else(|| fail(&index, "no object `weight_map`"))?;
        let mut names = BTreeSet::new();
        for (tensor, file) in map {
            // A file beside the index, nowhere else.
            let plain = file.as_str().filter(|f| Path::new(f).file_name() == Some(f.as_ref()));
            let wrong = || fail(&index, &format!("the file of `{}` is no name", clip(tensor)));
            names.insert(plain.ok_or_else(wrong)?.to_owned());
        }
        return Ok(names.into_iter().collect());
    }
    let entries = std::fs::read_dir(path).map_err(|e| Error::io("read", path, &e))?;
    let paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    let mut names: Vec<String> = paths
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
        .filter_map(|p| p.file_name()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    if names.iter().any(|n| n == "model.safetensors") {
        names.retain(|n| n == "model.safetensors");
    }
    if names.is_empty() {
        let hint = "a folder of a model holds config.json and model.safetensors";
        return Err(fail(path, "no safetensors file is there").hint(hint).into());
    }
    Ok(names)
}

fn gguf_file(path: &Path, options: &BuildOptions) -> Result<Loaded, Error> {
    if path.extension().is_some_and(|e| e == "safetensors" || e == "json") {
        let hint = "name the folder that holds it and its config.json";
        return Err(fail(path, "a model is a folder, or a .gguf file").hint(hint).into());
    }
    let mut file = open(path)?;
    let directory = gguf::directory(&mut file).map_err(|e| fail(path, &e.to_string()))?;
    let id = id_of(&path.to_string_lossy());
    let arch = architecture(&directory, &mut file, &id).map_err(|e| fail(path, &e.to_string()))?;
    let tokenizer = Tokenizer::from_gguf(&directory).map_err(|e| e.to_string());
    let named = (path.display().to_string(), file);
    let checkpoint = Checkpoint::gguf(named, directory, arch.clone()).map_err(refused)?;
    finish(arch, options, checkpoint, tokenizer)
}

fn finish(
    arch: Architecture,
    options: &BuildOptions,
    checkpoint: Checkpoint<File>,
    tokenizer: Result<Tokenizer, String>,
) -> Result<Loaded, Error> {
    let graphs = arch.graphs(options)?;
    checkpoint.check(graphs.parts().map(|(_, graph)| graph)).map_err(refused)?;
    Ok(Loaded { arch, output: options.output, graphs, checkpoint, tokenizer })
}
