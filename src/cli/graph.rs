//! `cosim graph`: a model's step as DOT or JSON.

use super::case::ModelArgs;
use super::error::Error;
use super::files;
use clap::ValueEnum;
use std::path::PathBuf;

/// Arguments of `cosim graph`.
#[derive(Debug, clap::Args)]
pub struct GraphArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Output format
    #[arg(long, value_enum, default_value = "dot")]
    format: Format,
    /// File to write instead of standard output
    #[arg(short = 'o', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Dot,
    Json,
}

pub fn run(args: &GraphArgs) -> Result<(), Error> {
    args.model.scheme()?;
    let architecture = args.model.architecture()?;
    let graph = architecture.graph(&args.model.options())?;
    let text = match args.format {
        Format::Dot => graph.to_dot(),
        Format::Json => format!("{:#}\n", graph.to_json()),
    };
    match &args.file {
        Some(path) => files::write(path, &text),
        None => files::print(&text),
    }
}
