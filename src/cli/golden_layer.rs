//! `cosim golden layer`: one layer of a model with its weights, on the hidden state that enters it.

use super::arrays;
use super::catalog;
use super::checkpoint::{self, Loaded};
use super::error::Error;
use super::files;
use super::given::GivenArgs;
use super::golden::{array_file, write};
use crate::diagnostic::Diagnostic;
use crate::exec::Fast;
use crate::graph::Layer;
use crate::model::{Architecture, BuildOptions};
use crate::session::{RunError, Session};
use crate::tensor::{Logits, Phase, Role, TensorName};
use crate::validate::cases::{CaseFile, Dtype, LayerCase, LayerKeys};
use crate::validate::{Array, Case, Inputs, Layout};
use crate::weights::Weights;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Values by layer and name of their node.
type Kept<S> = BTreeMap<(Option<u64>, String), Vec<S>>;

/// Name of the model's file in a case's folder.
const MODEL: &str = "model.yaml";

/// Arguments of `cosim golden layer`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct LayerArgs {
    /// Folder with config.json and safetensors, or a .gguf file; with --random-weights a bundled id or a file of a model
    model: String,
    /// Which layer, from 0
    #[arg(long, default_value = "0")]
    layer: u64,
    /// One of the encoder's layers
    #[arg(long)]
    encoder: bool,
    #[command(flatten)]
    given: GivenArgs,
    /// New tokens of a sequence, drawn at random where no tokens are given
    #[arg(long, default_value = "37", conflicts_with_all = ["tokens", "text"])]
    seq: u64,
    /// Sequences of them
    #[arg(long, default_value = "1", conflicts_with_all = ["tokens", "text"])]
    batch: u64,
    /// Tokens of each sequence, the first of those given, that are in the cache
    #[arg(long, default_value = "0", conflicts_with = "encoder")]
    cached: u64,
    /// Random arrays in place of a model's weights and hidden state
    #[arg(long, conflicts_with_all = ["tokens", "text", "encoder_tokens", "features"])]
    random_weights: bool,
    /// Positions that the encoder kept of a sequence, of random arrays
    #[arg(long, requires = "random_weights")]
    source: Option<u64>,
    /// Format of the arrays, and of what the layer's kernels hand on
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// Of random tokens and arrays
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes a case of a layer.
pub fn run(args: &LayerArgs) -> Result<(), Error> {
    let (arch, case) = if args.random_weights { random(args)? } else { real(args)? };
    let keys = case.keys().clone();
    write(&case, &CaseFile { layer: Some(keys), ..CaseFile::default() }, &args.out)?;
    files::write(&args.out.join(MODEL), &arch.to_yaml())
}

/// A case of a layer from its folder.
pub fn read(folder: &Path, keys: LayerKeys) -> Result<Box<dyn Case>, Error> {
    if Path::new(&keys.model).file_name() != Some(keys.model.as_ref()) {
        let why = "layer.model is no name of a file beside the case";
        return Err(Diagnostic::new(why).into());
    }
    let arch = Architecture::from_yaml(&files::read(&folder.join(&keys.model).to_string_lossy())?)?;
    let case = LayerCase::new(&arch, keys)?;
    let array = |layout: Layout| {
        let path = folder.join(array_file(&layout));
        let (kind, shape, bytes) = arrays::array(&path)?;
        let wrong = |why: String| Diagnostic::new(format!("{}: {why}", path.display()));
        let values = layout.read(kind, &shape, &bytes).map_err(wrong)?;
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            return Err(wrong(format!("element {at} is no finite number")).into());
        }
        Ok(Array { layout, values })
    };
    let inputs: Result<Vec<Array>, Error> = case.layouts().into_iter().map(array).collect();
    Ok(Box::new(case.with(Inputs(inputs?))))
}

impl LayerArgs {
    fn keys(&self, (batch, seq, cached): (u64, u64, u64), source: Option<u64>) -> LayerKeys {
        let (model, layer) = (MODEL.to_owned(), self.layer);
        let (encoder, dtype) = (self.encoder, self.dtype);
        LayerKeys { model, layer, encoder, batch, seq, cached, source, dtype }
    }

    /// The tokens that are given, or random ones.
    fn sequences(&self, loaded: &Loaded) -> Result<Vec<Vec<u64>>, Error> {
        if self.given.tokens.is_some() || self.given.text.is_some() {
            return self.given.tokens(loaded);
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let length = self.seq.saturating_add(self.cached);
        if self.batch.saturating_mul(length) > 1 << 24 {
            return Err(Diagnostic::new("more than 16777216 tokens").into());
        }
        let mut draw = || random.random_range(0..loaded.arch.vocabulary);
        Ok((0..self.batch).map(|_| (0..length).map(|_| draw()).collect()).collect())
    }
}

/// A layer of a model without its weights.
fn random(args: &LayerArgs) -> Result<(Architecture, LayerCase), Error> {
    let arch = catalog::architecture(&args.model)?;
    let keys = args.keys((args.batch, args.seq, args.cached), args.source);
    let case = LayerCase::new(&arch, keys)?;
    let inputs = case.random(args.seed);
    Ok((arch, case.with(inputs)))
}

/// A layer of a model with what enters it in a run of the whole model in f32.
fn real(args: &LayerArgs) -> Result<(Architecture, LayerCase), Error> {
    let loaded = checkpoint::load(&args.model, &BuildOptions::default())?;
    let entered = entered(args, &loaded)?;
    let keep = |name: &str| name == entered.1 || name.ends_with(".past");
    let (arch, kernels) = (loaded.arch.clone(), Fast::default());
    let weights: &dyn Weights<f32> = &loaded.checkpoint;
    let mut session = Session::new((&loaded.arch, &loaded.graphs), weights, &kernels, 0);
    let encoded = args.given.encode(&loaded, &mut session, &keep)?;
    let mut kept = encoded.map_or_else(Kept::new, |outcome| outcome.kept);
    let source = (session.source() > 0).then(|| session.source());
    let keys = if args.encoder {
        args.keys((session.past().len() as u64, session.source(), 0), None)
    } else {
        let tokens = args.sequences(&loaded)?;
        let length = tokens.first().map_or(0, Vec::len) as u64;
        let Some(seq) = length.checked_sub(args.cached).filter(|&new| new > 0) else {
            let why =
                format!("{length} tokens are given, {} of them cached; none is new", args.cached);
            return Err(Diagnostic::new(why).into());
        };
        let part = |range: std::ops::Range<usize>| -> Vec<Vec<u64>> {
            tokens.iter().map(|sequence| sequence[range.clone()].to_vec()).collect()
        };
        let cached = args.cached as usize;
        if cached > 0 {
            session.step(&part(0..cached), Logits::Last, &|_| false)?;
        }
        kept = session.step(&part(cached..length as usize), Logits::Last, &keep)?.kept;
        args.keys((tokens.len() as u64, seq, args.cached), source)
    };
    let case = LayerCase::new(&arch, keys)?;
    let inputs = inputs(&loaded, &case, &kept)?;
    Ok((arch, case.with(inputs)))
}

/// Where in the model's graph the layer is entered.
fn entered(args: &LayerArgs, loaded: &Loaded) -> Result<(u64, String), Error> {
    let phase = match args.cached {
        _ if args.encoder => Phase::Encode,
        0 => Phase::Prefill,
        _ => Phase::Decode,
    };
    let Some(graph) = loaded.graphs.of(phase) else {
        return Err(Diagnostic::new("the model has no encoder").into());
    };
    let beyond = || {
        let last = graph.layers().saturating_sub(1);
        Diagnostic::new(format!("layer {} is beyond the model's last, {last}", args.layer))
    };
    Ok(graph.layer(args.layer)?.ok_or_else(beyond)?.entered)
}

/// The layer's arrays: its weights, and what the run of the model kept.
fn inputs(loaded: &Loaded, case: &LayerCase, kept: &Kept<f32>) -> Result<Inputs, Error> {
    let Layer { graph, entered } = case.layer();
    let array = |layout: Layout| {
        let found = graph.nodes().find(|(_, node)| node.name == layout.name);
        let (id, node) = found.expect("invariant: an array is of a node");
        let inside = graph.region(id).carry.is_some();
        let layer = inside.then_some(case.keys().layer);
        let key = match layout.name.as_str() {
            Layer::ENTRY => (Some(entered.0), entered.1.clone()),
            name => (layer, name.to_owned()),
        };
        let values: Vec<f64> = match node.ty.role {
            Role::Weight(_) => {
                let rows = layout.elements() as u64 / node.ty.width;
                let name = TensorName { layer, name: &node.name };
                let weights: &dyn Weights<f64> = &loaded.checkpoint;
                weights.weight(name, &node.ty, rows).map_err(RunError::from)?
            }
            _ => kept.get(&key).into_iter().flatten().map(|&x| f64::from(x)).collect(),
        };
        let values: Vec<f64> = values.into_iter().map(|x| layout.stored.round(x)).collect();
        if values.len() != layout.elements() || values.iter().any(|x| !x.is_finite()) {
            let why =
                format!("`{}` has elements that {} cannot hold", layout.name, case.keys().dtype);
            return Err(Diagnostic::new(why).hint("--dtype bf16 or fp32").into());
        }
        Ok(Array { layout, values })
    };
    let inputs: Result<Vec<Array>, Error> = case.layouts().into_iter().map(array).collect();
    Ok(Inputs(inputs?))
}
