//! `cosim run`: a model with its weights on given tokens.

use super::arrays;
use super::calibration::CalibrationArgs;
use super::checkpoint::{self, Loaded};
use super::dump::{self, Filter};
use super::error::Error;
use super::files;
use super::given::GivenArgs;
use super::manner::{AttentionArg, Precision, kernels_f32, kernels_f64};
use super::run_cost::{Pricing, RunCost};
use crate::diagnostic::Diagnostic;
use crate::exec::Kernels;
use crate::formats::{Kind, values};
use crate::model::{Architecture, AttentionKernel, BuildOptions, Graphs, Output};
use crate::op::scalar::Scalar;
use crate::quantize::Ragged;
use crate::session::{Draw, Outcome, RunError, Schemed, Session};
use crate::tensor::Logits;
use crate::weights::{Given, Weights};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `cosim run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Folder with config.json and safetensors, or a .gguf file
    pub model: String,
    #[command(flatten)]
    pub given: GivenArgs,
    /// Write the logits of every token: a .npy file of [batch, tokens, vocabulary]; the last hidden state where the
    /// model has no head
    #[arg(long, value_name = "FILE")]
    pub logits: Option<PathBuf>,
    /// Write the hidden state behind each layer: a .npy file of [layers, batch, tokens, hidden]
    #[arg(long, value_name = "FILE")]
    pub hidden_states: Option<PathBuf>,
    /// Write values of the graph by name: a folder of .npy files, or one .safetensors file
    #[arg(long, value_name = "PATH")]
    pub dump: Option<PathBuf>,
    /// Which values are written: a part of their name, such as attn.q, or a pattern of all of it, such as
    /// 'layers.3.*'
    #[arg(long, value_name = "PATTERN", requires = "dump")]
    pub dump_filter: Option<Filter>,
    /// Go on with so many tokens
    #[arg(long, value_name = "N")]
    pub generate: Option<usize>,
    /// Temperature of drawn tokens; 0 takes the likeliest
    #[arg(long, default_value = "0", requires = "generate", value_parser = temperature)]
    pub temperature: f64,
    /// Seed of drawn tokens
    #[arg(long, default_value = "1")]
    pub seed: u64,
    /// What is computed with; bf16 and fp16 round where kernels hand values on, and add up in f32
    #[arg(long, value_enum, default_value = "f32")]
    precision: Precision,
    /// Quantization scheme that weights, activations and cache take: int8, w4a16-g128, q4_k_m, fp8, ...
    #[arg(long, value_name = "SCHEME", conflicts_with = "draft")]
    pub quant: Option<String>,
    #[command(flatten)]
    calibration: CalibrationArgs,
    /// Draft model of speculative sampling, over the same vocabulary
    #[arg(long, value_name = "MODEL", requires = "generate")]
    draft: Option<String>,
    /// Tokens drafted in a loop
    #[arg(long, default_value = "4", requires = "draft", value_parser = gamma)]
    pub gamma: usize,
    /// How attention runs: naive, flash, flash:TILE keys, paged, paged:BLOCK tokens
    #[arg(long, default_value = "flash")]
    pub attention: AttentionArg,
    /// Weights kept in memory between steps, GiB [default: 4; 0 where the run is one step, which needs each once]
    #[arg(long, value_name = "GIB", value_parser = gib)]
    pub weights_in_memory: Option<f64>,
    /// Count what each operator of the run computes, and price the same run on --hardware
    #[arg(long, requires = "hardware", conflicts_with = "draft")]
    pub cost: bool,
    /// Device id or profile YAML of --cost
    #[arg(long, requires = "cost")]
    pub hardware: Option<String>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

fn temperature(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|t| t.is_finite() && *t >= 0.0);
    value.ok_or_else(|| "expected a number of at least 0".to_owned())
}

fn gamma(text: &str) -> Result<usize, String> {
    let value = text.parse::<usize>().ok().filter(|n| (1..=256).contains(n));
    value.ok_or_else(|| "expected a whole number from 1 to 256".to_owned())
}

fn gib(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|t| (0.0..=1e6).contains(t));
    value.ok_or_else(|| "expected a number from 0 to 1000000".to_owned())
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        Diagnostic::new(error.to_string()).into()
    }
}

pub fn run(args: &RunArgs) -> Result<(), Error> {
    let options = BuildOptions {
        attention: match args.attention.is_naive() {
            true => AttentionKernel::Naive,
            false => AttentionKernel::Flash,
        },
        ..BuildOptions::default()
    };
    let loaded = checkpoint::load(&args.model, &options)?;
    match args.precision {
        Precision::F64 => {
            let kernels = kernels_f64(&args.attention);
            under(args, &loaded, &loaded.checkpoint, kernels.as_ref())
        }
        precision => {
            let kernels = kernels_f32(&args.attention, precision);
            let weights = precision.weights(&loaded.checkpoint);
            let draft = args.draft.as_ref().map(|name| checkpoint::load(name, &options));
            let draft = draft.transpose()?;
            let draft = draft.as_ref().map(|draft| (draft, precision.weights(&draft.checkpoint)));
            if let Some((draft, of_draft)) = &draft {
                let models = [(&loaded, weights.as_ref()), (*draft, of_draft.as_ref())];
                return super::run_draft::run(args, models, kernels.as_ref());
            }
            under(args, &loaded, weights.as_ref(), kernels.as_ref())
        }
    }
}

/// Tokens of a window of a calibration.
const CALIBRATED: usize = 256;

/// Runs the model as it is, or under a scheme.
fn under<S: Stored>(
    args: &RunArgs,
    loaded: &Loaded,
    weights: &dyn Weights<S>,
    kernels: &dyn Kernels<S>,
) -> Result<(), Error> {
    let Some(name) = &args.quant else {
        return go(args, loaded, &loaded.graphs, weights, kernels);
    };
    let scheme = super::quality::scheme(name)?;
    let calibrations = args.calibration.seen(loaded, CALIBRATED)?;
    let source = Given::new(weights, 0);
    let under =
        Schemed::new(&loaded.graphs, &source, &scheme, calibrations.as_ref(), Ragged::default())?;
    source.checked().map_err(RunError::from)?;
    go(args, loaded, under.graphs(), &under, &under.kernels(kernels))
}

/// What a scalar needs to leave the program.
pub trait Stored: Scalar {
    /// Its kind in files.
    const KIND: Kind;
    /// Its bytes.
    fn bytes(values: &[Self]) -> Vec<u8>;
}

impl Stored for f32 {
    const KIND: Kind = Kind::F32;
    fn bytes(values: &[Self]) -> Vec<u8> {
        values::f32_bytes(values)
    }
}

impl Stored for f64 {
    const KIND: Kind = Kind::F64;
    fn bytes(values: &[Self]) -> Vec<u8> {
        values::f64_bytes(values)
    }
}

fn go<S: Stored>(
    args: &RunArgs,
    loaded: &Loaded,
    graphs: &Graphs,
    weights: &dyn Weights<S>,
    kernels: &dyn Kernels<S>,
) -> Result<(), Error> {
    if loaded.output == Output::Encoded {
        let session = session(args, (&loaded.arch, graphs), weights, kernels);
        return super::run_encoder::run(args, loaded, session);
    }
    if loaded.output != Output::Logits && args.generate.is_some() {
        let message = "--generate: the model has no head, and makes no tokens";
        return Err(Diagnostic::new(message).hint("--logits writes its last hidden state").into());
    }
    let tokens = args.given.tokens(loaded)?;
    let pricing = Pricing::new(args, loaded)?;
    let cost = |made: &[Vec<u64>]| {
        let priced = |p: &Pricing| p.cost(args, (loaded, graphs), weights, (&tokens, made));
        pricing.as_ref().map(priced).transpose()
    };
    let mut session = session(args, (&loaded.arch, graphs), weights, kernels);
    let layers = graphs.parts().map(|(_, graph)| graph.layers()).max().unwrap_or(0);
    let encoded = args.given.encode(loaded, &mut session, &|name| args.is_dumped(name, layers))?;
    let begun = Instant::now();
    let asked = [&args.logits, &args.hidden_states, &args.dump].iter().any(|o| o.is_some());
    let mut wrote = vec![];
    if asked || args.generate.is_none() {
        let keep = |name: &str| {
            let hidden = args.hidden_states.is_some() && is_residual(name);
            hidden || args.is_dumped(name, layers)
        };
        let mut outcome = session.step(&tokens, Logits::All, &keep)?;
        outcome.kept.extend(encoded.map(|e| e.kept).unwrap_or_default());
        wrote = write(args, loaded, (&tokens, session.width()), &outcome)?;
        if args.generate.is_none() {
            let seconds = begun.elapsed().as_secs_f64();
            let cost = cost(&[])?;
            let given = (tokens.as_slice(), cost.as_ref());
            return report(args, loaded, given, (seconds, &[]), (&outcome.logits, &wrote));
        }
        session.restart();
        args.given.encode(loaded, &mut session, &|_| false)?;
    }
    let begun = Instant::now();
    let count = args.generate.unwrap_or(0);
    let mut draw = Draw::new(args.temperature, args.seed);
    let bar = super::terminal::progress(count as u64);
    let made = session.generate(&tokens, count, &mut draw, &mut |_| bar.inc(1))?;
    bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();
    let cost = cost(&made)?;
    report::<S>(args, loaded, (&tokens, cost.as_ref()), (seconds, &made), (&[], &wrote))
}

/// A session as the arguments have it.
pub fn session<'a, S: Scalar>(
    args: &RunArgs,
    model: (&'a Architecture, &'a Graphs),
    weights: &'a dyn Weights<S>,
    kernels: &'a dyn Kernels<S>,
) -> Session<'a, S> {
    let once = args.generate.is_none() && !args.cost;
    let gib = args.weights_in_memory.unwrap_or(if once { 0.0 } else { 4.0 });
    let room = (gib * f64::from(1 << 30)) as usize / size_of::<S>();
    let session = Session::new(model, weights, kernels, room);
    match args.attention.block() {
        Some(block) => session.paged(block),
        None => session,
    }
}

impl RunArgs {
    pub fn filter(&self) -> Filter {
        self.dump_filter.clone().unwrap_or_default()
    }

    /// Whether a node's value is written, in some layer of so many.
    pub fn is_dumped(&self, name: &str, layers: u64) -> bool {
        self.dump.is_some() && self.filter().keeps(name, layers)
    }
}

/// The nodes whose values are the hidden state behind a layer.
fn is_residual(name: &str) -> bool {
    matches!(name, "ffn.add" | "block.add")
}

fn write<S: Stored>(
    args: &RunArgs,
    loaded: &Loaded,
    (tokens, width): (&[Vec<u64>], usize),
    outcome: &Outcome<S>,
) -> Result<Vec<PathBuf>, Error> {
    let (batch, length) = (tokens.len() as u64, tokens[0].len() as u64);
    let mut wrote = vec![];
    if let Some(path) = &args.logits {
        let shape = [batch, length, width as u64];
        arrays::write(path, S::KIND, &shape, &S::bytes(&outcome.logits))?;
        wrote.push(path.clone());
    }
    if let Some(path) = &args.hidden_states {
        let mut layers: Vec<_> = outcome.kept.iter().filter(|(k, _)| is_residual(&k.1)).collect();
        layers.sort_by_key(|((layer, _), _)| *layer);
        let all: Vec<u8> = layers.iter().flat_map(|(_, v)| S::bytes(v)).collect();
        let shape = [layers.len() as u64, batch, length, loaded.arch.hidden];
        arrays::write(path, S::KIND, &shape, &all)?;
        wrote.push(path.clone());
    }
    if let Some(path) = &args.dump {
        dump::write(path, &loaded.graphs, outcome, &args.filter())?;
        wrote.push(path.clone());
    }
    Ok(wrote)
}

fn report<S: Stored>(
    args: &RunArgs,
    loaded: &Loaded,
    (tokens, cost): (&[Vec<u64>], Option<&RunCost>),
    (seconds, made): (f64, &[Vec<u64>]),
    (logits, wrote): (&[S], &[PathBuf]),
) -> Result<(), Error> {
    let count: usize = tokens.iter().map(Vec::len).sum();
    let text = |ids: &[u64]| loaded.tokenizer.as_ref().ok().and_then(|t| t.decode(ids).ok());
    let next = logits.chunks_exact(loaded.arch.vocabulary as usize);
    let next: Vec<u64> = match loaded.output {
        Output::Logits => next.map(|row| Draw::Greedy.token(row)).collect(),
        Output::Hidden | Output::Encoded => vec![],
    };
    if args.json {
        let mut value = json!({
            "model": loaded.arch.id, "tokens": tokens, "generated": made,
            "likeliest": if next.is_empty() { None } else { Some(&next) },
            "text": made.first().and_then(|ids| text(ids)), "seconds": seconds,
            "wrote": wrote.iter().map(|p| p.display().to_string()).collect::<Vec<_>>(),
        });
        if let Some(cost) = cost {
            value["cost"] = cost.to_json();
        }
        return files::print(&format!("{value:#}\n"));
    }
    let mut out = String::new();
    for (sequence, made) in tokens.iter().zip(made) {
        let shown = made.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        out += &format!("{} tokens in, {} out: {shown}\n", sequence.len(), made.len());
        if let Some(text) = text(made) {
            out += &format!("{text}\n");
        }
    }
    if made.is_empty() {
        let last = tokens.iter().scan(0, |row, s| {
            *row += s.len();
            Some(*row - 1)
        });
        for (sequence, row) in tokens.iter().zip(last) {
            let Some(&token) = next.get(row) else {
                let (n, width) = (sequence.len(), loaded.arch.hidden);
                out += &format!("{n} tokens in, {n} hidden states of {width} out: no head\n");
                continue;
            };
            let shown = text(&[token]).map_or(String::new(), |t| format!(" {t:?}"));
            out += &format!("{} tokens in; the likeliest next is {token}{shown}\n", sequence.len());
        }
    }
    let made: usize = made.iter().map(Vec::len).sum();
    let rate = (count + made) as f64 / seconds;
    out += &format!("{seconds:.3} s, {rate:.1} tokens/s on this machine\n");
    for path in wrote {
        out += &format!("wrote {}\n", Path::display(path));
    }
    out += &cost.map_or_else(String::new, RunCost::to_text);
    files::print(&out)
}
