//! `cosim quality`: perplexity, divergence and speed of quantization schemes on one model.

use super::calibration::{CalibrationArgs, encoded};
use super::catalog;
use super::checkpoint::{self, Loaded};
use super::error::Error;
use super::fidelity;
use super::files::{self, svg_path};
use super::{arrays, terminal};
use crate::cost::{Estimator, Request};
use crate::diagnostic::Diagnostic;
use crate::dtype::{ParseSchemeError, Scheme};
use crate::exec::Fast;
use crate::hardware::{Fidelity, Machine};
use crate::mapping::Plan;
use crate::model::{BuildOptions, Output};
use crate::quality::{Agreement, Likelihood, Signal};
use crate::quantize::Ragged;
use crate::report::quality::{QualityReport, QualityRow};
use crate::session::{RunError, Schemed, Session};
use crate::tensor::Logits;
use crate::weights::{Given, Weights};
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `cosim quality`.
#[derive(Debug, clap::Args)]
pub struct QualityArgs {
    /// Folder with config.json and safetensors, or a .gguf file
    model: String,
    /// Text file, where the model has its tokenizer
    #[arg(long, value_name = "FILE", required_unless_present = "tokens")]
    text: Option<PathBuf>,
    /// Token ids: a .npy file, or numbers with commas between
    #[arg(long, value_name = "IDS", conflicts_with = "text")]
    tokens: Option<String>,
    /// Characters of the text to take, FIRST:END
    #[arg(long, value_name = "RANGE", requires = "text", value_parser = range)]
    characters: Option<(usize, usize)>,
    /// Quantization schemes with commas between: int8, w4a16-g128, gptq-int4-g128, q4_k_m, mxfp4, ...
    #[arg(long, value_delimiter = ',')]
    quant: Vec<String>,
    /// Tokens of a window; each is predicted on its own
    #[arg(long, default_value = "256", value_name = "TOKENS", value_parser = window)]
    window: usize,
    /// Most windows
    #[arg(long, value_name = "N", value_parser = window)]
    windows: Option<usize>,
    #[command(flatten)]
    calibration: CalibrationArgs,
    /// Rows that are no whole number of groups are one group, in place of a shorter last one
    #[arg(long)]
    whole_rows: bool,
    /// Device id or profile YAML that speed is simulated on
    #[arg(long, default_value = "h100-sxm")]
    hardware: String,
    /// SVG file to write: speed against perplexity, with the Pareto front
    #[arg(short = 'o', long = "svg", value_name = "FILE", value_parser = svg_path)]
    svg: Option<PathBuf>,
    /// CSV file to write, a row per scheme
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

fn range(text: &str) -> Result<(usize, usize), String> {
    let found = text.split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    found
        .filter(|(a, b)| a < b)
        .ok_or_else(|| "expected FIRST:END, 4000:14000 for instance".to_owned())
}

fn window(text: &str) -> Result<usize, String> {
    let found = text.parse::<usize>().ok().filter(|n| (2..=1 << 20).contains(n));
    found.ok_or_else(|| "expected a whole number from 2 to 1048576".to_owned())
}

pub fn run(args: &QualityArgs) -> Result<(), Error> {
    let loaded = checkpoint::load(&args.model, &BuildOptions::default())?;
    if loaded.arch.encoder.is_some() {
        let message = "quality is measured on models without an encoder";
        return Err(Diagnostic::new(message).into());
    }
    if loaded.output != Output::Logits {
        let message = "quality is measured on models with a head";
        return Err(Diagnostic::new(message).into());
    }
    let schemes = args.quant.iter().map(|s| scheme(s)).collect::<Result<Vec<_>, _>>()?;
    let (_, machine) = catalog::machine(&args.hardware, &[], Fidelity::Realistic)?;
    let report = measured(args, &loaded, &schemes, &machine)?;
    let mut text = if args.json {
        format!("{:#}\n", report.to_json())
    } else {
        let table = report.to_table().to_terminal(terminal::shape());
        format!("{}\n{}\n{table}", report.title, report.subtitle)
    };
    let csv = || report.to_csv().map_err(|e| Diagnostic::new(e.to_string()));
    let drawn = args.svg.clone().map(|path| (path, report.chart().to_svg()));
    let rows = args.csv.clone().map(|path| Ok::<_, Diagnostic>((path, csv()?))).transpose()?;
    let mut wrote = String::new();
    files::write_each(drawn.into_iter().chain(rows), &mut wrote)?;
    if !args.json {
        text += &wrote;
    }
    files::print(&text)
}

/// A scheme by name.
pub fn scheme(name: &str) -> Result<Scheme, Error> {
    let parsed = name.parse::<Scheme>();
    parsed.map_err(|e: ParseSchemeError| Diagnostic::new(e.to_string()).hint(e.hint).into())
}

/// The windows of the tokens that are measured.
fn windows(args: &QualityArgs, loaded: &Loaded) -> Result<Vec<Vec<u64>>, Error> {
    let ids: Vec<u64> = match (&args.tokens, &args.text) {
        (Some(ids), _) => arrays::tokens(ids)?.concat(),
        (None, Some(path)) => encoded(loaded, path, args.characters)?,
        (None, None) => vec![],
    };
    let mut windows: Vec<Vec<u64>> = ids.chunks(args.window).map(<[u64]>::to_vec).collect();
    // The last window may be shorter, but predicts at least one token.
    windows.retain(|w| w.len() > 1);
    windows.truncate(args.windows.unwrap_or(usize::MAX));
    if windows.is_empty() {
        return Err(Diagnostic::new("there are fewer than two tokens to measure on").into());
    }
    Ok(windows)
}

/// What a run over all windows gives.
struct Measured {
    likelihood: Likelihood,
    logits: Vec<Vec<f32>>,
    /// Hidden states of the first window by layer.
    hidden: BTreeMap<u64, Vec<f32>>,
}

fn measure(
    session: &mut Session<'_, f32>,
    windows: &[Vec<u64>],
    bar: &ProgressBar,
) -> Result<Measured, RunError> {
    let (mut likelihood, mut logits) = (Likelihood::default(), vec![]);
    let mut hidden = BTreeMap::new();
    for (i, window) in windows.iter().enumerate() {
        session.restart();
        let keep = |name: &str| i == 0 && matches!(name, "ffn.add" | "block.add");
        let outcome = session.step(std::slice::from_ref(window), Logits::All, &keep)?;
        let next: Vec<usize> = window[1..].iter().map(|&t| t as usize).collect();
        let vocabulary = outcome.logits.len() / window.len();
        likelihood.add(&outcome.logits[..next.len() * vocabulary], &next);
        let layers = outcome.kept.into_iter().filter_map(|((layer, _), v)| Some((layer?, v)));
        hidden.extend(layers);
        logits.push(outcome.logits);
        bar.inc(window.len() as u64);
    }
    Ok(Measured { likelihood, logits, hidden })
}

fn measured(
    args: &QualityArgs,
    loaded: &Loaded,
    schemes: &[Scheme],
    machine: &Machine,
) -> Result<QualityReport, Error> {
    let windows = windows(args, loaded)?;
    let tokens: usize = windows.iter().map(Vec::len).sum();
    let bar = terminal::progress((tokens * (1 + schemes.len())) as u64);
    let kernels = Fast::default();
    let model = (&loaded.arch, &loaded.graphs);
    let weights: &dyn Weights<f32> = &loaded.checkpoint;
    let room = (1 << 30) / size_of::<f32>();
    let plain = {
        let mut session = Session::new(model, weights, &kernels, room);
        measure(&mut session, &windows, &bar)?
    };
    let speed = |scheme: &Scheme| speed(loaded, scheme, machine, args.window as u64);
    let base = speed(&Scheme::sixteen_bit())?;
    let mut rows = vec![QualityRow {
        scheme: "as stored, f32".to_owned(),
        bytes: loaded.checkpoint.bytes() as f64,
        perplexity: plain.likelihood.perplexity(),
        kl: 0.0,
        top1: 1.0,
        sqnr: vec![],
        tokens_per_s: base.1.clone(),
        speed_up: base.1.is_ok().then_some(1.0),
    }];
    let calibrations = args.calibration.seen(loaded, args.window)?;
    let source = Given::new(weights, 0);
    for scheme in schemes {
        let (bytes, rate) = speed(scheme)?;
        let under = {
            let ragged = if args.whole_rows { Ragged::Row } else { Ragged::default() };
            Schemed::new(&loaded.graphs, &source, scheme, calibrations.as_ref(), ragged)?
        };
        source.checked().map_err(RunError::from)?;
        let settled = under.kernels(&kernels);
        let mut session = Session::new((&loaded.arch, under.graphs()), &under, &settled, 0);
        let found = measure(&mut session, &windows, &bar)?;
        let mut agreement = Agreement::default();
        for (a, b) in plain.logits.iter().zip(&found.logits) {
            agreement.add(a, b, loaded.arch.vocabulary as usize);
        }
        let sqnr = plain.hidden.iter().filter_map(|(layer, values)| {
            let mut signal = Signal::default();
            signal.add(values, found.hidden.get(layer)?);
            Some((*layer, signal.sqnr()))
        });
        rows.push(QualityRow {
            scheme: scheme.name().to_owned(),
            bytes,
            perplexity: found.likelihood.perplexity(),
            kl: agreement.kl(),
            top1: agreement.top1(),
            sqnr: sqnr.collect(),
            speed_up: rate.as_ref().ok().zip(base.1.as_ref().ok()).map(|(own, base)| own / base),
            tokens_per_s: rate,
        });
    }
    bar.finish_and_clear();
    Ok(QualityReport {
        title: format!("{}: what quantization costs and buys", loaded.arch.id),
        subtitle: format!(
            "{} predicted tokens in {} windows of {}; decode of batch 1 at context {} simulated on {}{}",
            plain.likelihood.tokens,
            windows.len(),
            args.window,
            args.window,
            args.hardware,
            fidelity::by_default(machine)?.said(machine)
        ),
        rows,
    })
}

/// Bytes of the weights, and tokens per second of a decode step with batch 1, or why there are none.
fn speed(
    loaded: &Loaded,
    scheme: &Scheme,
    machine: &Machine,
    context: u64,
) -> Result<(f64, Result<f64, String>), Error> {
    let plan = Plan::of(loaded.graphs.parts(), scheme);
    let bytes = plan.footprint.weights.total.get();
    let times = fidelity::by_default(machine)?;
    let estimator = match Estimator::new(&plan, machine) {
        Ok(estimator) => match times.silicon() {
            Some(silicon) => estimator.on(silicon),
            None => estimator,
        },
        Err(error) => return Ok((bytes, Err(error.to_string()))),
    };
    let summary = estimator.summary(&Request::Decode { batch: 1, context })?;
    Ok((bytes, Ok(1.0 / summary.total.get())))
}
