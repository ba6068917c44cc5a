//! Readers of files on whatever bytes: they give values or an error, never a panic, in bounded memory.

use cosim::diagnostic::Diagnostic;
use cosim::dtype::Scheme;
use cosim::formats::{gguf, npy, npz, safetensors, values};
use cosim::hardware;
use cosim::model;
use cosim::tokenizer::Tokenizer;
use cosim::validate::cases::CaseFile;
use cosim::weights::{Checkpoint, architecture};
use cosim::workload;
use cosim::yaml::Source;
use std::io::Cursor;

/// A `.npy` file, or a `.npz` archive.
pub fn npy(data: &[u8]) {
    let mut file = Cursor::new(data);
    if let Ok(array) = npy::array(&mut file)
        && let Ok(bytes) = array.read(&mut file)
    {
        let numbers = values::decode::<f64>(array.entry.kind, &bytes);
        let read = numbers.map_or(0, |n| n.len() as u64);
        assert!(read == 0 || read == array.entry.elements(), "elements are lost");
    }
    for name in npz::names(&mut file).unwrap_or_default() {
        let _ = npz::member(&mut file, &name);
    }
}

/// A safetensors file.
pub fn safetensors(data: &[u8]) {
    let mut file = Cursor::new(data);
    let Ok(directory) = safetensors::directory(&mut file) else { return };
    for entry in directory.entries.values() {
        let bytes = entry.read(&mut file).expect("a directory's tensors lie inside the file");
        let _ = values::decode::<f32>(entry.kind, &bytes);
    }
}

/// A GGUF file: directory, tokenizer, architecture, weights.
pub fn gguf(data: &[u8]) {
    let mut file = Cursor::new(data);
    let Ok(directory) = gguf::directory(&mut file) else { return };
    for entry in directory.entries.values() {
        entry.read(&mut file).expect("a directory's tensors lie inside the file");
    }
    if let Ok(tokenizer) = Tokenizer::from_gguf(&directory) {
        let ids = tokenizer.encode("Grüße, 123  you!").unwrap_or_default();
        let _ = tokenizer.decode(&ids);
    }
    let Ok(arch) = architecture(&directory, &mut file, "fuzzed") else { return };
    let Ok(graphs) = arch.graphs(&model::BuildOptions::default()) else { return };
    let Ok(checkpoint) = Checkpoint::gguf(("fuzzed".to_owned(), file), directory, arch) else {
        return;
    };
    let _ = checkpoint.check(graphs.parts().map(|(_, graph)| graph));
}

/// Text as every file that is written by hand: profile, model, `config.json`, scenario, scheme, case.
pub fn yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lookup = |name: &str| match name {
        "fuzzed.yaml" | "fuzzed.json" => Ok(Source::new(name, text)),
        _ => Err(Diagnostic::new("no such file")),
    };
    let _ = hardware::load("fuzzed.yaml", &lookup);
    let _ = model::load("fuzzed.yaml", &lookup);
    let _ = model::load("fuzzed.json", &lookup);
    let _ = workload::load("fuzzed.yaml", &lookup);
    let _ = Scheme::load("fuzzed.yaml", &lookup);
    if let Ok(file) = Source::new("fuzzed.yaml", text).parse::<CaseFile>() {
        for case in file.cases() {
            let _ = case.check();
        }
    }
}
