//! The command line: the only module that reads files, the environment and the clock.

mod accuracy;
mod arrays;
mod cache;
mod calibrate;
mod calibrate_left_out;
mod calibrate_requests;
mod calibration;
mod case;
mod catalog;
mod checkpoint;
mod deploy;
mod distill;
mod dump;
mod error;
mod estimate;
mod explain;
mod fidelity;
mod files;
mod given;
mod golden;
mod golden_layer;
mod graph;
mod hardware;
mod kv;
mod manner;
mod measured;
mod model;
mod outputs;
mod page;
mod page_charts;
mod parallel;
mod quality;
mod reproduce;
mod roofline;
mod run;
mod run_cost;
mod run_draft;
mod run_encoder;
mod speculate;
mod surface;
mod sweep;
mod terminal;
mod validate;
mod waterfall;

use clap::{CommandFactory, Parser, Subcommand};
use error::Error;
use std::process::ExitCode;

/// Hardware/software co-design simulator and cost model for LLM inference.
#[derive(Debug, Parser)]
#[command(name = "cosim", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Price scenarios on devices: CSV, rooflines, an index page
    Sweep(sweep::SweepArgs),
    /// Price one request on one device
    Estimate(Box<estimate::EstimateArgs>),
    /// Compare a distilled student with its teacher at equal service
    Distill(distill::DistillArgs),
    /// Show where the time goes, operator by operator
    Explain(explain::ExplainArgs),
    /// Draw the roofline of one case
    Roofline(roofline::RooflineArgs),
    /// Show what techniques buy, each alone and together
    Waterfall(waterfall::WaterfallArgs),
    /// Compute the published figures of papers: tables and charts
    Reproduce(reproduce::ReproduceArgs),
    /// Show what KV memory holds and wastes under each layout
    Kv(kv::KvArgs),
    /// Run a model with its weights: logits, any value of its graph, generated tokens
    Run(Box<run::RunArgs>),
    /// Measure what quantization costs in perplexity, beside what it buys in speed
    Quality(quality::QualityArgs),
    /// Write inputs of an operator with what must come out, for a kernel to be tested
    #[command(subcommand)]
    Golden(golden::GoldenCommand),
    /// Say whether a kernel's output is right, and if not, why; exit code 1 where it is wrong
    Validate(validate::ValidateArgs),
    /// Score predicted times of kernels against measured ones
    Accuracy(accuracy::AccuracyArgs),
    /// Fit how well a software stack uses a device to measured times
    Calibrate(calibrate::CalibrateArgs),
    /// Print a model's graph
    Graph(graph::GraphArgs),
    /// List, show or import models
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// List, show or check hardware profiles
    #[command(subcommand)]
    Hardware(hardware::HardwareCommand),
    /// Print a completion script for a shell
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
}

/// Runs the command line; 0 for success and for a closed pipe, 1 for a wrong output, 2 for bad usage or input.
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(help) => {
            let code = if help.use_stderr() { 2 } else { 0 };
            let _ = help.print();
            return ExitCode::from(code);
        }
    };
    let result = match command {
        Command::Sweep(args) => sweep::run(&args),
        Command::Estimate(args) => estimate::run(&args),
        Command::Distill(args) => distill::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Roofline(args) => roofline::run(&args),
        Command::Waterfall(args) => waterfall::run(&args),
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Kv(args) => kv::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Quality(args) => quality::run(&args),
        Command::Golden(command) => golden::run(&command),
        Command::Validate(args) => validate::run(&args),
        Command::Accuracy(args) => accuracy::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Model(command) => model::run(&command),
        Command::Hardware(command) => hardware::run(&command),
        Command::Completions { shell } => completions(shell),
    };
    match result {
        Ok(()) | Err(Error::ClosedPipe) => ExitCode::SUCCESS,
        Err(Error::Failed) => ExitCode::FAILURE,
        Err(Error::Input(diagnostic)) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{diagnostic}");
            ExitCode::from(2)
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Error> {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Cli::command(), "cosim", &mut script);
    files::print(&String::from_utf8_lossy(&script))
}
