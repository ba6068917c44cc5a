//! `cosim sweep`: scenarios over devices, streamed to CSV, drawn, and shown on a page.

use super::case::named_price;
use super::catalog;
use super::error::Error;
use super::fidelity::{FidelityArgs, Times};
use super::files::{self, Pending};
use super::page;
use super::terminal;
use crate::cost::Power;
use crate::diagnostic::{Diagnostic, clip};
use crate::hardware::{self, Fidelity, Hardware, Machine};
use crate::par::Pool;
use crate::sweep::{Grid, Variant, header, stream};
use crate::units::DollarsPerHour;
use crate::workload::{self, Axis, Scenario, Setting};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// Arguments of `cosim sweep`.
#[derive(Debug, clap::Args)]
pub struct SweepArgs {
    /// Scenario names or YAML files [default: chat]
    workloads: Vec<String>,
    /// Device ids or profile YAMLs, or `all`
    #[arg(long, value_delimiter = ',', default_value = "all")]
    hardware: Vec<String>,
    /// Vary a path: traffic.batch=1,8,64, quant=16bit,w4a16-g128, hardware.memory.dram.bandwidth=x1,x2
    #[arg(long = "set", value_name = "PATH=V1,V2,...")]
    settings: Vec<String>,
    /// Folder to write to [default: reports/<scenario>]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Threads [default: one per core]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = jobs, allow_negative_numbers = true)]
    jobs: usize,
    /// Efficiencies 1, overheads 0
    #[arg(long)]
    ideal: bool,
    #[command(flatten)]
    fidelity: FidelityArgs,
    /// Named price of the profiles [default: cloud-low, else cloud-hyperscaler]
    #[arg(long)]
    price: Option<String>,
    /// Times even where the memory does not suffice
    #[arg(long)]
    allow_oom: bool,
    /// CSV only: no charts, no page, no table
    #[arg(long)]
    csv_only: bool,
}

pub fn run(args: &SweepArgs) -> Result<(), Error> {
    let names =
        if args.workloads.is_empty() { vec!["chat".to_owned()] } else { args.workloads.clone() };
    let axes: Result<Vec<Axis>, Diagnostic> =
        args.settings.iter().map(|s| Axis::parse(s, &files::read)).collect();
    let axes = axes?;
    let pool =
        Pool::new(args.jobs).map_err(|e| Diagnostic::new(format!("--jobs {}: {e}", args.jobs)))?;
    let mut scenarios = vec![];
    for name in &names {
        let mut scenario = workload::load(name, &files::read)?;
        for axis in &axes {
            scenario.axes.retain(|a| a.path != axis.path);
            scenario.axes.push(axis.clone());
        }
        if scenarios.iter().any(|(s, _): &(Scenario, Grid)| s.name == scenario.name) {
            let message = format!("two scenarios are named `{}`", scenario.name);
            let hint = "each has a report folder of its name; give one another `name`";
            return Err(Diagnostic::new(message).hint(hint).into());
        }
        let grid = grid(&scenario, args)?;
        scenarios.push((scenario, grid));
    }
    for (scenario, grid) in &scenarios {
        let folder = match (&args.out, scenarios.len()) {
            (Some(out), 1) => out.clone(),
            (Some(out), _) => out.join(&scenario.name),
            (None, _) => Path::new("reports").join(&scenario.name),
        };
        write_all(scenario, grid, &folder, &pool, args)?;
    }
    Ok(())
}

fn grid(scenario: &Scenario, args: &SweepArgs) -> Result<Grid, Error> {
    let devices: Vec<String> = match &args.hardware[..] {
        [all] if all == "all" => hardware::bundled::ids().into_iter().map(str::to_owned).collect(),
        named => named.to_vec(),
    };
    let fidelity = if args.ideal { Fidelity::Ideal } else { Fidelity::Realistic };
    let combinations = Variant::settings(scenario)?;
    let paths: Vec<String> =
        scenario.axes.iter().filter(|a| a.is_hardware()).map(|a| a.path.clone()).collect();
    let mut variants = vec![];
    for device in &devices {
        for settings in &combinations {
            variants.push(variant(device, &paths, settings, fidelity, args)?);
        }
    }
    let priced = variants.iter().any(|v| v.price.is_some());
    if let (Some(name), false) = (&args.price, priced) {
        let message = format!("no device of the sweep has an hourly price `{}`", clip(name));
        return Err(Diagnostic::new(message).hint("`cosim hardware show` lists prices").into());
    }
    Ok(Grid::new(scenario, variants, &catalog::architecture, args.allow_oom)?)
}

fn variant(
    id: &str,
    paths: &[String],
    settings: &[(String, Setting)],
    fidelity: Fidelity,
    args: &SweepArgs,
) -> Result<Variant, Error> {
    let texts: Vec<String> = settings.iter().map(|(text, _)| text.clone()).collect();
    let inner = paths.iter().map(|p| p.trim_start_matches("hardware.").to_owned());
    let changes: Vec<(String, String)> = inner.zip(texts.iter().cloned()).collect();
    let (hardware, machine) = catalog::machine(id, &changes, fidelity)?;
    let plain = catalog::plain(id, &machine, !changes.is_empty())?;
    let times = match args.hardware.as_slice() {
        [one] if one != "all" => args.fidelity.times(&machine, &plain)?,
        _ => args.fidelity.times_of_each(&machine, &plain)?,
    };
    // A device without the named price has blank costs; `grid` refuses a name that none has.
    let price = named_price(&machine, args.price.as_deref()).ok().and_then(Result::ok);
    Ok(device(&hardware, (machine, times), texts, price.map(|(_, price)| price)))
}

/// A machine as a block of a sweep sees it, with the texts of its hardware settings.
pub fn device(
    hardware: &Hardware,
    (machine, times): (Machine, Times),
    settings: Vec<String>,
    price: Option<DollarsPerHour>,
) -> Variant {
    Variant {
        id: machine.id.clone(),
        name: hardware.name.to_string(),
        vendor: hardware.vendor.as_deref().unwrap_or("other").to_owned(),
        settings,
        power: Power::of(&machine),
        price,
        machine,
        roofline_because: times.fallback(),
        silicon: times.into_silicon(),
    }
}

fn write_all(
    scenario: &Scenario,
    grid: &Grid,
    folder: &Path,
    pool: &Pool,
    args: &SweepArgs,
) -> Result<(), Error> {
    let mut csv = Pending::create(&folder.join("sweep.csv"))?;
    let bar = progress(grid.len(), &scenario.name);
    csv.write(format!("{}\n", header(grid).join(",")).as_bytes())?;
    let streamed = stream(grid, pool, |bytes, points| {
        bar.inc(points);
        csv.write(bytes)
    });
    bar.finish_and_clear();
    streamed?;
    if args.csv_only {
        csv.finish()?;
        return files::print(&format!(
            "{} points: {}\n",
            grid.len(),
            folder.join("sweep.csv").display()
        ));
    }
    let report = page::render(scenario, grid, &command(args), pool)?;
    let mut pending = vec![csv];
    for (name, text) in &report.files {
        let mut file = Pending::create(&folder.join(name))?;
        file.write(text.as_bytes())?;
        pending.push(file);
    }
    pending.into_iter().try_for_each(Pending::finish)?;
    let mut text = format!("{}: {}\n", scenario.name, report.heading);
    text += &report.table.to_terminal(terminal::shape());
    for line in &report.remarks {
        text += &format!("{line}\n");
    }
    text += &format!("{} points: {}\n", grid.len(), folder.join("index.html").display());
    files::print(&text)
}

/// Most threads: more than any machine has cores, few enough to start at once.
const MAX_JOBS: usize = 512;

fn jobs(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| *n <= MAX_JOBS);
    number.ok_or_else(|| format!("expected a number of threads up to {MAX_JOBS}"))
}

/// The command line as the page shows it: what was asked, without machine-specific folders.
fn command(args: &SweepArgs) -> String {
    let mut words = vec!["cosim sweep".to_owned()];
    words.extend(args.workloads.iter().cloned());
    if args.hardware != ["all"] {
        words.push(format!("--hardware {}", args.hardware.join(",")));
    }
    words.extend(args.settings.iter().map(|s| format!("--set {s}")));
    words.extend(args.price.iter().map(|p| format!("--price {p}")));
    words.extend(args.fidelity.words());
    words.extend(args.ideal.then(|| "--ideal".to_owned()));
    words.extend(args.allow_oom.then(|| "--allow-oom".to_owned()));
    words.join(" ")
}

fn progress(points: u64, name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg} [{bar:40}] {human_pos}/{human_len} points, {per_sec}, {eta} left",
    );
    let bar = ProgressBar::new(points).with_message(name.to_owned());
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
