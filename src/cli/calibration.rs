//! Sample tokens whose activations quantizers see.

use super::arrays;
use super::checkpoint::Loaded;
use super::error::Error;
use super::files;
use crate::diagnostic::Diagnostic;
use crate::exec::Fast;
use crate::quantize::{Calibrations, QuantizeError, inputs};
use crate::session::{SchemeError, Session};
use crate::tensor::{Logits, Phase};
use crate::weights::Weights;
use std::path::{Path, PathBuf};

/// Windows that a calibration is taken from.
const WINDOWS: usize = 16;

/// Where samples come from.
#[derive(Debug, Clone, clap::Args)]
pub struct CalibrationArgs {
    /// Text, or .npy file of token ids, whose activations GPTQ, AWQ, SmoothQuant and `-static` scales see
    #[arg(long, value_name = "FILE", requires = "quant")]
    calibration: Option<PathBuf>,
}

impl CalibrationArgs {
    /// What the projections read on the samples, in windows of so many tokens (A101); nothing without any.
    ///
    /// # Errors
    /// A file that cannot be read, tokens that the model lacks, or a model with an encoder.
    pub fn seen(&self, loaded: &Loaded, window: usize) -> Result<Option<Calibrations>, Error> {
        let Some(path) = &self.calibration else { return Ok(None) };
        if loaded.arch.encoder.is_some() {
            let message = "a calibration is taken of models without an encoder";
            return Err(Diagnostic::new(message).hint("leave --calibration out").into());
        }
        let ids = match path.extension().is_some_and(|e| e == "npy") {
            true => arrays::tokens(&path.to_string_lossy())?.concat(),
            false => encoded(loaded, path, None)?,
        };
        if ids.is_empty() {
            let message = format!("{}: no tokens to calibrate with", path.display());
            return Err(Diagnostic::new(message).into());
        }
        let graph = loaded.graphs.of(Phase::Prefill).expect("invariant: every phase has a graph");
        let mut found = Calibrations::new(&inputs(graph));
        let kernels = Fast::default();
        let weights: &dyn Weights<f32> = &loaded.checkpoint;
        let mut session = Session::new((&loaded.arch, &loaded.graphs), weights, &kernels, 0);
        for window in ids.chunks(window).take(WINDOWS) {
            session.restart();
            let wants = |name: &str| found.wants(name);
            let kept = session.step(&[window.to_vec()], Logits::Last, &wants)?.kept;
            found.observe(&kept);
        }
        Ok(Some(found))
    }
}

impl From<SchemeError> for Error {
    fn from(error: SchemeError) -> Self {
        let uncalibrated = matches!(
            error,
            SchemeError::Static | SchemeError::Quantize(QuantizeError::NoCalibration)
        );
        let hint =
            "--calibration FILE: sample text, other than what is measured or run, or token ids";
        let hint = uncalibrated.then(|| hint.to_owned());
        Diagnostic::new(error.to_string()).hint_opt(hint).into()
    }
}

/// The tokens of a text file, or of some of its characters.
pub fn encoded(
    loaded: &Loaded,
    path: &Path,
    characters: Option<(usize, usize)>,
) -> Result<Vec<u64>, Error> {
    let source = files::read(&path.to_string_lossy())?;
    let text: String = match characters {
        Some((first, end)) => source.text.chars().skip(first).take(end - first).collect(),
        None => source.text.to_string(),
    };
    let tokenizer = loaded.tokenizer.as_ref();
    let tokenizer = tokenizer
        .map_err(|why| Diagnostic::new(format!("no tokenizer: {why}")).hint("give --tokens"))?;
    tokenizer.encode(&text).map_err(|e| Diagnostic::new(e.to_string()).into())
}
