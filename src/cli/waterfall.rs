//! `cosim waterfall`: what techniques buy, each alone and together.

use super::case::named_price;
use super::catalog;
use super::error::Error;
use super::fidelity::FidelityArgs;
use super::files::{self, Pending, svg_path};
use super::sweep::device;
use super::terminal;
use crate::diagnostic::Diagnostic;
use crate::hardware::Fidelity;
use crate::report::waterfall::{WaterfallChart, axis};
use crate::sweep::{Change, Grid, Metric, Outcome, Waterfall};
use crate::workload::{self, Scenario};
use clap::ValueEnum;
use std::path::PathBuf;

/// Arguments of `cosim waterfall`.
#[derive(Debug, clap::Args)]
pub struct WaterfallArgs {
    /// Scenario name or YAML file: the base
    #[arg(default_value = "chat")]
    workload: String,
    /// Device id or profile YAML
    #[arg(long)]
    hardware: String,
    /// A technique: quant=w4a16-g128; several settings in one: "quant=w8a16 kv_cache.format=8"
    #[arg(long = "step", value_name = "PATH=VALUE", required = true)]
    steps: Vec<String>,
    /// Change the base: model=llama-2-70b
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<String>,
    /// What to follow
    #[arg(long, value_enum, default_value = "tpot")]
    metric: MetricArg,
    /// Efficiencies 1, overheads 0
    #[arg(long)]
    ideal: bool,
    #[command(flatten)]
    fidelity: FidelityArgs,
    /// Named price of the profile [default: cloud-low, else cloud-hyperscaler]
    #[arg(long)]
    price: Option<String>,
    /// SVG file to write
    #[arg(short = 'o', long = "svg", value_name = "FILE", value_parser = svg_path)]
    svg: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MetricArg {
    /// Mean decode step
    Tpot,
    /// Time to the first token
    Ttft,
    /// Time per output token of the whole batch
    TimePerToken,
    /// Dollars per million output tokens
    Cost,
    /// Joules per output token
    Energy,
    /// Bytes at the worst moment
    Memory,
}

impl From<MetricArg> for Metric {
    fn from(metric: MetricArg) -> Self {
        match metric {
            MetricArg::Tpot => Self::Tpot,
            MetricArg::Ttft => Self::Ttft,
            MetricArg::TimePerToken => Self::TimePerToken,
            MetricArg::Cost => Self::Cost,
            MetricArg::Energy => Self::Energy,
            MetricArg::Memory => Self::Memory,
        }
    }
}

pub fn run(args: &WaterfallArgs) -> Result<(), Error> {
    let changes = |texts: &[String]| -> Result<Vec<Change>, Diagnostic> {
        texts.iter().map(|text| Change::parse(text, &files::read)).collect()
    };
    let (base, steps) = (changes(&args.settings)?, changes(&args.steps)?);
    let mut scenario = workload::load(&args.workload, &files::read)?;
    let mut hardware = vec![];
    for (path, text, setting) in base.iter().flat_map(|c| &c.settings) {
        scenario.set(setting)?;
        if let Some(path) = path.strip_prefix("hardware.") {
            hardware.push((path.to_owned(), text.clone()));
        }
    }
    let evaluate = |scenario: &Scenario, more: &[(String, String)]| {
        point(scenario, &[&hardware, more].concat(), args)
    };
    let waterfall = Waterfall::new(&scenario, &steps, &evaluate)?;
    let metric = Metric::from(args.metric);
    if waterfall.base.value(metric).is_none() {
        let message = format!("the base has no {}: {}", axis(metric).name, args.hardware);
        return Err(Diagnostic::new(message).hint("another --metric, or another device").into());
    }
    show(args, &scenario, &waterfall)
}

/// One point on the device, times included where it does not fit.
fn point(
    scenario: &Scenario,
    hardware: &[(String, String)],
    args: &WaterfallArgs,
) -> Result<Outcome, Error> {
    let fidelity = if args.ideal { Fidelity::Ideal } else { Fidelity::Realistic };
    let (profile, machine) = catalog::machine(&args.hardware, hardware, fidelity)?;
    let price = named_price(&machine, args.price.as_deref())?.ok().map(|(_, price)| price);
    let plain = catalog::plain(&args.hardware, &machine, !hardware.is_empty())?;
    let times = args.fidelity.times(&machine, &plain)?;
    let variants = vec![device(&profile, (machine, times), vec![], price)];
    let grid = Grid::new(scenario, variants, &catalog::architecture, true)?;
    let mut outcome = None;
    grid.for_each(0..1, |_, row| outcome = Some(Outcome::of(row)));
    outcome.ok_or_else(|| Diagnostic::new("the scenario has no point").into())
}

fn show(args: &WaterfallArgs, scenario: &Scenario, waterfall: &Waterfall) -> Result<(), Error> {
    let (profile, _) = catalog::machine(&args.hardware, &[], Fidelity::Realistic)?;
    let model = catalog::architecture(&scenario.model)?.what_if(&scenario.what_if)?.name;
    let traffic = waterfall.base.traffic;
    let chart = WaterfallChart {
        title: format!("{model} on {}: what each technique buys", profile.name),
        subtitle: format!(
            "base {}, batch {}, {} prompt and {} output tokens",
            scenario.scheme, traffic.batch, traffic.prompt, traffic.output
        ),
        metric: args.metric.into(),
        waterfall,
        notes: vec![],
    };
    let mut text = if args.json {
        format!("{:#}\n", json(waterfall, args.metric.into()))
    } else {
        let heading = format!("{}\n{}\n", chart.title, chart.subtitle);
        heading + &chart.to_table().to_terminal(terminal::shape())
    };
    if let Some(path) = &args.svg {
        let mut file = Pending::create(path)?;
        file.write(chart.to_svg().as_bytes())?;
        file.finish()?;
        if !args.json {
            text += &format!("wrote {}\n", path.display());
        }
    }
    files::print(&text)
}

fn json(waterfall: &Waterfall, metric: Metric) -> serde_json::Value {
    let stage = |i: usize| {
        let (alone, together) = waterfall.gains(i, metric);
        let at = &waterfall.stages[i];
        serde_json::json!({
            "technique": at.label,
            "alone": at.alone.value(metric),
            "alone_gain": alone,
            "together": at.together.value(metric),
            "together_gain": together,
            "interaction": together.zip(alone).map(|(t, a)| t / a),
            "status": at.together.status.text(),
        })
    };
    let axis = axis(metric);
    serde_json::json!({
        "metric": axis.name,
        "unit": axis.unit,
        "base": waterfall.base.value(metric),
        "steps": (0..waterfall.stages.len()).map(stage).collect::<Vec<_>>(),
    })
}
