//! `cosim graph`: a model's step as DOT or JSON.

use super::case::ModelArgs;
use super::error::Error;
use super::files;
use crate::diagnostic::Diagnostic;
use crate::tensor::Phase;
use clap::ValueEnum;
use std::path::PathBuf;

/// Arguments of `cosim graph`.
#[derive(Debug, clap::Args)]
pub struct GraphArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The phase whose step is shown; prefill and decode run the same graph
    #[arg(long, value_enum, default_value = "decode")]
    phase: GraphPhase,
    /// Output format
    #[arg(long, value_enum, default_value = "dot")]
    format: Format,
    /// File to write instead of standard output
    #[arg(short = 'o', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum GraphPhase {
    Encode,
    Prefill,
    Decode,
}

impl From<GraphPhase> for Phase {
    fn from(phase: GraphPhase) -> Self {
        match phase {
            GraphPhase::Encode => Self::Encode,
            GraphPhase::Prefill => Self::Prefill,
            GraphPhase::Decode => Self::Decode,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Dot,
    Json,
}

pub fn run(args: &GraphArgs) -> Result<(), Error> {
    args.model.scheme()?;
    let architecture = args.model.architecture()?;
    let graphs = architecture.graphs(&args.model.options())?;
    let phase = Phase::from(args.phase);
    let graph = graphs.of(phase).ok_or_else(|| {
        let message = format!("{} has no {} step", architecture.id, phase.name());
        Diagnostic::new(message).hint("only models with an encoder encode: prefill, decode")
    })?;
    let text = match args.format {
        Format::Dot => graph.to_dot(),
        Format::Json => format!("{:#}\n", graph.to_json()),
    };
    match &args.file {
        Some(path) => files::write(path, &text),
        None => files::print(&text),
    }
}
