//! `cosim estimate --devices`: the best plan for a number of devices.

use super::case::{Case, CaseArgs, positive};
use super::error::Error;
use super::files::{Pending, svg_path};
use super::speculate::SpeculateArgs;
use super::terminal;
use crate::cost::speculative::Speculator;
use crate::cost::{Economics, Estimator, Power, Request};
use crate::diagnostic::Diagnostic;
use crate::graph::shard::Parallel;
use crate::report::comparison::{ComparisonChart, ComparisonPoint};
use crate::report::{Axis, Better, Column, Prefixes, Table, describe, dollars};
use crate::sweep::deployment::{Deployment, Goal, Refused, Slo, Tried, best, throughput};
use crate::units::Bytes;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// A number of devices to plan for.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// Devices to find the best plan for: all ways of TP, PP, EP and DP are tried, of --cp the given one
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = devices,
          requires = "optimize", conflicts_with_all = ["tp", "pp", "ep", "dp"])]
    devices: Option<u64>,
    /// What the best plan has: the least time of --batch, or the most throughput from --batch on
    #[arg(long, value_enum, requires = "devices")]
    optimize: Option<GoalArg>,
    /// Limits that a plan keeps: ttft=2s,tpot=50ms
    #[arg(long, value_name = "LIMITS", requires = "devices")]
    slo: Option<String>,
    /// SVG of all plans, TPOT against throughput, with the Pareto front
    #[arg(short = 'o', long = "svg", value_name = "FILE", value_parser = svg_path, requires = "devices")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum GoalArg {
    /// Least time of the batch
    Latency,
    /// Most output tokens per second
    Throughput,
}

/// Plans tried, the best of them, and what was asked.
pub struct Search {
    tried: Vec<Tried>,
    /// The best.
    pub best: Deployment,
    goal: Goal,
}

/// Most devices to plan for.
const MOST: u64 = 4096;

/// What the label of the best plan ends with.
const BEST: &str = ", the best";

fn devices(text: &str) -> Result<u64, String> {
    match positive(text)? {
        n if n <= MOST => Ok(n),
        _ => Err(format!("expected at most {MOST}")),
    }
}

impl DeployArgs {
    /// Finds the best plan; `None` where no number of devices is given.
    ///
    /// # Errors
    /// No plan that fits the memory and keeps the limits.
    pub fn search(
        &self,
        args: &CaseArgs,
        speculate: &SpeculateArgs,
    ) -> Result<Option<Search>, Error> {
        let (Some(devices), Some(goal)) = (self.devices, self.optimize) else { return Ok(None) };
        let goal = match goal {
            GoalArg::Latency => Goal::Latency,
            GoalArg::Throughput => Goal::Throughput,
        };
        let slo: Slo = self.slo.as_deref().map_or(Ok(Slo::default()), str::parse)?;
        let one = args.load_as(Parallel::ONE, args.batch)?;
        if !matches!(one.request, Request::Generation { .. }) {
            let message = "--devices plans whole requests, not a phase";
            return Err(Diagnostic::new(message).hint("give --prompt and --output").into());
        }
        speculate.load(&one, &args.model.options())?;
        let micro_batches = args.parallel.micro_batches.unwrap_or(0);
        let context = args.parallel.cp.unwrap_or(1);
        if !devices.is_multiple_of(context) {
            let message = format!("--cp {context} does not divide {devices} devices");
            return Err(Diagnostic::new(message)
                .hint("every plan shares positions among so many")
                .into());
        }
        let all = Parallel::spread(devices / context, one.architecture.experts.is_some());
        let sequence = args.parallel.sp;
        let all = all.into_iter().map(|plan| {
            let sequence = sequence && plan.tensor > 1;
            Parallel { micro_batches, sequence, context, ..plan }
        });
        let mut tried = vec![];
        for parallel in all {
            let case = match args.load_as(parallel, args.batch) {
                Ok(case) => case,
                Err(error) => {
                    tried.push(refused(parallel, &error));
                    continue;
                }
            };
            tried.push(plan(case, goal, &slo, args, speculate));
        }
        match best(&tried, goal) {
            Some(found) => Ok(Some(Search { best: found.clone(), tried, goal })),
            None => Err(nothing(devices, &tried).into()),
        }
    }

    /// Writes the chart where one is asked for; the line that says so.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn draw(&self, case: &Case, search: &Search) -> Result<Option<String>, Error> {
        let Some(path) = &self.svg else { return Ok(None) };
        let mut file = Pending::create(path)?;
        file.write(chart(case, search).to_svg().as_bytes())?;
        file.finish()?;
        Ok(Some(format!("wrote {}\n", path.display())))
    }
}

/// A plan that cannot be.
pub fn refused(parallel: Parallel, why: &Error) -> Tried {
    Tried { parallel, best: Err(Refused(why.reason())), seen: vec![] }
}

/// The best batch of one plan.
fn plan(
    mut case: Case,
    goal: Goal,
    slo: &Slo,
    args: &CaseArgs,
    speculate: &SpeculateArgs,
) -> Tried {
    let parallel = case.plan.parallel;
    match speculate.load(&case, &args.model.options()) {
        Ok(speculated) => case.speculated = speculated,
        Err(error) => return refused(parallel, &error),
    }
    within(&case, goal, slo, args.batch)
}

/// The best batch of a case from the least on, within the limits.
pub fn within(case: &Case, goal: Goal, slo: &Slo, least: u64) -> Tried {
    let parallel = case.plan.parallel;
    let estimator = match case.estimator() {
        Ok(estimator) => estimator,
        Err(error) => return refused(parallel, &error),
    };
    let speculator = case.speculated.as_ref().map(|s| Speculator::new(estimator.clone(), s));
    let speculator = match speculator.transpose() {
        Ok(speculator) => speculator,
        Err(error) => return refused(parallel, &error.into()),
    };
    let price = |batch: u64| price(case, &estimator, speculator.as_ref(), batch);
    Tried::new(parallel, goal, slo, least, &price)
}

fn price(
    case: &Case,
    estimator: &Estimator<'_>,
    speculator: Option<&Speculator<'_>>,
    batch: u64,
) -> Result<Deployment, Refused> {
    let request = case.request.with_batch(batch);
    let summary = match speculator {
        None => estimator.summary(&request),
        Some(speculator) => speculator.summary(&request).map(|(summary, _)| summary),
    };
    let summary = summary.map_err(|e| Refused(e.to_string()))?;
    let power = Power::of(&case.machine);
    let price = case.price.as_ref().ok().map(|(_, price)| *price);
    Ok(Deployment {
        parallel: case.plan.parallel,
        batch,
        capacity: estimator.capacity(&request, &summary.memory),
        economics: Economics::new(&request, &summary, estimator.devices(), power, price),
        throughput: throughput(&request, &summary),
        summary,
    })
}

/// No plan: the reasons, each once.
fn nothing(devices: u64, tried: &[Tried]) -> Diagnostic {
    let mut reasons: Vec<String> = vec![];
    for plan in tried {
        if let Err(why) = &plan.best {
            let reason = format!("{}: {why}", plan.parallel);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    let message = format!("no plan for {devices} devices fits and keeps the limits");
    Diagnostic::new(message).hint(reasons.join("; "))
}

impl Search {
    /// The plans as a table, the best first.
    pub fn table(&self) -> String {
        let mut table = Table::new(vec![
            Column::text("plan"),
            Column::number("batch", ""),
            Column::number("TTFT", ""),
            Column::number("TPOT", ""),
            Column::number("throughput", "tok/s"),
            Column::number("memory", "GiB/device"),
            Column::number("cost", "$/Mtok"),
            Column::text("status"),
        ]);
        table.rows = self.ranked().into_iter().map(|t| self.row(t)).collect();
        table.to_terminal(terminal::shape())
    }

    fn ranked(&self) -> Vec<&Tried> {
        let worth = |t: &Tried| {
            t.best.as_ref().map_or(f64::INFINITY, |d| match self.goal {
                Goal::Latency => d.summary.total.get(),
                Goal::Throughput => -d.throughput,
            })
        };
        let mut ranked: Vec<&Tried> = self.tried.iter().collect();
        ranked.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
        ranked
    }

    fn row(&self, tried: &Tried) -> Vec<String> {
        let name = tried.parallel.to_string();
        let d = match &tried.best {
            Ok(d) => d,
            Err(why) => {
                let mut row = vec![name];
                row.extend((0..6).map(|_| String::new()));
                row.push(why.to_string());
                return row;
            }
        };
        let time = |t: Option<crate::units::Seconds>| t.map_or_else(String::new, |t| t.to_string());
        let gib = |b: Bytes| format!("{:.1}", b.get() / f64::from(1 << 30));
        let cost = d.economics.per_million.map_or_else(String::new, dollars);
        vec![
            name,
            d.batch.to_string(),
            time(d.summary.prefill),
            time(d.summary.decode_step),
            format!("{:.1}", d.throughput),
            gib(d.summary.memory.total()),
            cost,
            if *d == self.best { "best".to_owned() } else { String::new() },
        ]
    }

    /// The plans as JSON, the best first.
    pub fn json(&self) -> serde_json::Value {
        let plan = |tried: &&Tried| {
            let p = tried.parallel;
            let best = tried.best.as_ref();
            let of = |f: fn(&Deployment) -> Option<f64>| best.ok().and_then(f);
            serde_json::json!({
                "plan": p.to_string(),
                "tp": p.tensor, "cp": p.context, "pp": p.pipeline, "ep": p.expert, "dp": p.data,
                "batch": best.ok().map(|d| d.batch),
                "ttft_s": of(|d| d.summary.prefill.map(|t| t.get())),
                "tpot_s": of(|d| d.summary.decode_step.map(|t| t.get())),
                "total_s": of(|d| Some(d.summary.total.get())),
                "throughput_tok_s": of(|d| Some(d.throughput)),
                "memory_bytes_per_device": of(|d| Some(d.summary.memory.total().get())),
                "usd_per_mtok": of(|d| d.economics.per_million.map(|c| c.get())),
                "refused": best.err().map(Refused::to_string),
            })
        };
        self.ranked().iter().map(plan).collect()
    }
}

/// Every batch of every plan: TPOT against throughput.
fn chart(case: &Case, search: &Search) -> ComparisonChart {
    let mut points = vec![];
    let mut omitted = vec![];
    for tried in &search.tried {
        if let (Err(why), true) = (&tried.best, tried.seen.is_empty()) {
            omitted.push((tried.parallel.to_string(), why.to_string()));
        }
        for d in &tried.seen {
            let Some(step) = d.summary.decode_step else { continue };
            let chosen = if *d == search.best { BEST } else { "" };
            points.push(ComparisonPoint {
                label: format!("{}, batch {}{chosen}", tried.parallel, d.batch),
                x: step.get(),
                y: d.throughput,
                group: format!("TP {}", tried.parallel.tensor),
                detail: format!("TTFT {}", d.summary.prefill.unwrap_or_default()),
            });
        }
    }
    let devices = search.best.parallel.devices();
    let lengths = match case.request {
        Request::Generation { prompt, output, .. } => {
            format!("{prompt} prompt + {output} output tokens")
        }
        _ => describe(&case.request),
    };
    let by_degree = |p: &ComparisonPoint| p.group[3..].parse::<u64>().unwrap_or(0);
    points.sort_by_key(by_degree);
    let chosen = points.iter().position(|p| p.label.ends_with(BEST));
    let mut groups: Vec<String> = points.iter().map(|p| p.group.clone()).collect();
    groups.dedup();
    ComparisonChart {
        title: format!(
            "{} on {devices} x {}: plans and batches",
            case.architecture.name, case.hardware.name
        ),
        subtitle: format!("{}, {lengths}, batches doubled", case.plan.scheme.name()),
        x: Axis::new("TPOT", "s", Prefixes::Si, Better::Lower),
        y: Axis::new("Throughput", "tok/s", Prefixes::Si, Better::Higher),
        points,
        groups,
        chosen,
        omitted,
        notes: vec![format!(
            "Best by the goal and within the limits: {}, batch {}.",
            search.best.parallel, search.best.batch
        )],
    }
}
