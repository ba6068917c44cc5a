//! Golden vectors, and the tiny models that they are of.

use cosim::formats::{npy, safetensors, values};
use cosim::model::checkpoint::Layout;
use cosim::model::{Architecture, BuildOptions, Graphs, import};
use cosim::weights::Checkpoint;
use cosim::yaml::Source;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Numbers by name, with their shapes.
pub type Arrays = BTreeMap<String, (Vec<u64>, Vec<f64>)>;

/// A path below `tests/golden`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The tensors of a safetensors file.
pub fn tensors(path: &Path) -> Arrays {
    let mut file = File::open(path).expect("a fixture");
    let directory = safetensors::directory(&mut file).expect("a directory");
    let mut tensors = Arrays::new();
    for (name, entry) in directory.entries {
        let bytes = entry.read(&mut file).expect("bytes");
        tensors.insert(name, (entry.shape, values::decode(entry.kind, &bytes).expect("plain")));
    }
    tensors
}

/// The same without shapes.
pub fn numbers(path: &Path) -> BTreeMap<String, Vec<f64>> {
    tensors(path).into_iter().map(|(name, (_, values))| (name, values)).collect()
}

/// Shape and numbers of a `.npy` file.
pub fn array(path: &Path) -> (Vec<u64>, Vec<f64>) {
    let mut file = File::open(path).expect("a file");
    let array = npy::array(&mut file).expect("an array");
    let bytes = array.read(&mut file).expect("bytes");
    (array.entry.shape, values::decode(array.entry.kind, &bytes).expect("numbers"))
}

/// A model with its weights.
pub struct Model {
    pub arch: Architecture,
    pub graphs: Graphs,
    pub checkpoint: Checkpoint<File>,
}

/// What a folder's `config.json` describes, and how its weights are named.
pub fn described(folder: &Path) -> Result<(Architecture, Layout, Graphs), String> {
    let text = std::fs::read_to_string(folder.join("config.json")).expect("a configuration");
    let source = Source::new("config.json", text);
    let (arch, family, output) =
        import::checkpoint_source(&source, "golden").map_err(|e| e.to_string())?;
    let layout = Layout::of_family(family).ok_or("no layout")?;
    let options = BuildOptions { output, ..BuildOptions::default() };
    let graphs = arch.graphs(&options).map_err(|e| e.to_string())?;
    Ok((arch, layout, graphs))
}

/// One file, or those of a checkpoint in several.
fn weight_files(folder: &Path) -> Vec<(String, File)> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("readable"));
    let named = entries.map(|e| (e.file_name().to_string_lossy().into_owned(), e.path()));
    let weights =
        named.filter(|(name, _)| name.starts_with("model") && name.ends_with(".safetensors"));
    weights.map(|(name, path)| (name, File::open(path).expect("weights"))).collect()
}

/// The model of a folder.
pub fn model(folder: &Path) -> Result<Model, String> {
    let (arch, layout, graphs) = described(folder)?;
    let checkpoint = Checkpoint::safetensors(weight_files(folder), (arch.clone(), layout))
        .map_err(|e| e.to_string())?;
    checkpoint.check(graphs.parts().map(|(_, g)| g)).map_err(|e| e.to_string())?;
    Ok(Model { arch, graphs, checkpoint })
}
