//! `cosim golden`: inputs of an operator, or of a layer, with what must come out.

use super::arrays;
use super::error::Error;
use super::files;
use super::golden_layer::{self, LayerArgs};
use super::terminal;
use crate::diagnostic::Diagnostic;
use crate::formats::{Kind, values};
use crate::validate::cases::{CaseFile, Chosen};
use crate::validate::{Array, Case, CaseError, Layout, REFERENCES, watched};
use std::path::Path;

impl From<CaseError> for Error {
    fn from(error: CaseError) -> Self {
        Diagnostic::new(error.to_string()).into()
    }
}

/// What a case is made of.
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
pub enum GoldenCommand {
    #[command(flatten)]
    Operator(Chosen),
    /// One layer of a model, on its weights
    Layer(LayerArgs),
}

/// The case of a folder's `case.yaml`, checked.
///
/// # Errors
/// A file that does not hold one, numbers that make no case, or a layer's files that cannot be read.
pub fn case(folder: &Path) -> Result<Box<dyn Case>, Error> {
    let path = folder.join("case.yaml");
    let file: CaseFile = files::read(&path.to_string_lossy())?.parse()?;
    let made = match file {
        CaseFile { layer: Some(keys), .. }
            if CaseFile { layer: None, ..file.clone() } == CaseFile::default() =>
        {
            golden_layer::read(folder, keys)
        }
        file => checked(file),
    };
    made.map_err(|why| match why {
        Error::Input(why) if why.place.is_none() => {
            let message = format!("{}: {}", path.display(), why.message);
            Diagnostic { message, ..*why }.into()
        }
        other => other,
    })
}

fn checked(file: CaseFile) -> Result<Box<dyn Case>, Error> {
    let layered = file.layer.is_some();
    let mut cases = file.cases();
    let Some(case) = cases.pop().filter(|_| cases.is_empty() && !layered) else {
        let names = CaseFile::NAMES.join(", ");
        return Err(Diagnostic::new("a case is of one operator or layer").hint(names).into());
    };
    case.check()?;
    Ok(case)
}

/// Writes a case.
pub fn run(command: &GoldenCommand) -> Result<(), Error> {
    match command {
        GoldenCommand::Operator(chosen) => {
            let (file, out) = chosen.clone().into_file();
            write(checked(file.clone())?.as_ref(), &file, &out)
        }
        GoldenCommand::Layer(args) => golden_layer::run(args),
    }
}

/// Writes a case with what must come out.
pub fn write(case: &dyn Case, file: &CaseFile, out: &Path) -> Result<(), Error> {
    let bar = terminal::steps(REFERENCES);
    let inputs = case.inputs();
    let references = watched(case, &inputs, &|| bar.inc(1));
    bar.finish_and_clear();
    for Array { layout, values } in &inputs.0 {
        let (kind, shape) = (layout.stored.kind(), layout.file_shape());
        arrays::write(&out.join(array_file(layout)), kind, &shape, &layout.bytes(values))?;
    }
    for reference in &references {
        let layout = &reference.output.layout;
        for (prefix, numbers) in [("expected", &reference.truth), ("emulated", &reference.emulated)]
        {
            let name = numbered(prefix, layout, references.len());
            let bytes = values::f64_bytes(numbers);
            arrays::write(&out.join(name), Kind::F64, &layout.shape(), &bytes)?;
        }
    }
    let yaml = serde_yaml::to_string(file).map_err(|e| Diagnostic::new(e.to_string()))?;
    files::write(&out.join("case.yaml"), &yaml)?;
    files::write(&out.join("README.md"), &readme(case, &inputs.0))?;
    files::print(&format!("{}: {}\n", out.display(), case.title()))
}

/// The file of an input.
pub fn array_file(layout: &Layout) -> String {
    format!("{}.npy", layout.name)
}

/// `expected.npy`, or `expected_q.npy` where there are several outputs.
fn numbered(prefix: &str, layout: &Layout, outputs: usize) -> String {
    if outputs == 1 { format!("{prefix}.npy") } else { format!("{prefix}_{}.npy", layout.name) }
}

fn readme(case: &dyn Case, inputs: &[Array]) -> String {
    let row = |name: &str, kind: Kind, layout: &Layout, shape: &[u64], what: &str| {
        let strides: Vec<u64> = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
        let axes: Vec<&str> = layout.axes.iter().map(|a| a.0).collect();
        format!("| {name} | {kind} | {shape:?} | {strides:?} | {what}: {} |\n", axes.join(", "))
    };
    let outputs = case.outputs();
    let mut table = String::new();
    for Array { layout, .. } in inputs {
        let note = layout.stored.note().map_or(String::new(), |n| format!(" ({n})"));
        let (what, file) = (format!("{}{note}", layout.says), array_file(layout));
        table += &row(&file, layout.stored.kind(), layout, &layout.file_shape(), &what);
    }
    for output in &outputs {
        let layout = &output.layout;
        for (prefix, how) in [("expected", "in f64"), ("emulated", "in the kernel's precision")] {
            let what = format!("{}, {how}", layout.says);
            let name = numbered(prefix, layout, outputs.len());
            table += &row(&name, Kind::F64, layout, &layout.shape(), &what);
        }
    }
    let of = |o: &crate::validate::Output| {
        let note = o.layout.stored.note().map_or(String::new(), |n| format!(" ({n})"));
        let exact = if o.discrete { ", exact but where rounding decides" } else { "" };
        format!("`{}`: {}{note}{exact}", o.layout.name, o.layout.stored.kind())
    };
    let formats: Vec<String> = outputs.iter().map(of).collect();
    let given = match outputs.as_slice() {
        [_] => "`cosim validate . --got out.npy`".to_owned(),
        _ => "`cosim validate . --got NAME=FILE` (once per output, or one .npz or .safetensors of all)".to_owned(),
    };
    let made = match case.is_on_files() {
        true => "It reads the inputs here and computes references from them.",
        false => {
            "It makes inputs and references from `case.yaml`, seed included, not from the arrays here."
        }
    };
    format!(
        "# {}\n\n| file | elements | shape | strides, in elements | |\n|---|---|---|---|---|\n\
         {table}\n- {}\n\nOutputs: {}.\n\nNumPy reads bf16 as two raw bytes: \
         `(np.load(\"x.npy\").view(np.uint16).astype(np.uint32) << 16).view(np.float32)`.\n\n\
         {given} takes outputs of these shapes in any plain format. {made}\n",
        case.title(),
        case.conventions().join("\n- "),
        formats.join("; "),
    )
}
