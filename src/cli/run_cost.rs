//! `cosim run --cost`: what a run computes, counted, beside what the same run costs on a device.

use super::checkpoint::Loaded;
use super::error::Error;
use super::fidelity::{self, Times};
use super::run::{RunArgs, session};
use super::{catalog, quality, terminal};
use crate::cost::{Estimator, OperatorCost, PhaseCost};
use crate::dtype::Scheme;
use crate::exec::{MeteredStep, Metering};
use crate::hardware::{Fidelity, Machine};
use crate::mapping::{Plan, check_overrides};
use crate::model::Graphs;
use crate::op::meter::{Counts, Metered};
use crate::op::scalar::Scalar;
use crate::report::{Column, Table};
use crate::session::RunError;
use crate::tensor::{Logits, Phase, TensorName, TensorType};
use crate::units::Flops;
use crate::weights::{WeightError, Weights};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Both interpreters' figures of one run.
pub struct RunCost {
    title: String,
    /// Name of the slowest memory level, which bounds are named by.
    level: String,
    phases: Vec<PhaseCounts>,
}

struct PhaseCounts {
    cost: PhaseCost,
    rows: Vec<Row>,
}

/// Kernels that run the same nodes, in all layers and steps of a phase.
struct Row {
    nodes: BTreeSet<String>,
    cost: OperatorCost,
    counts: Counts,
}

/// Weights of any scalar as numbers that count.
struct Counting<'a, S>(&'a dyn Weights<S>);

impl<S: Scalar> Weights<Metered> for Counting<'_, S> {
    fn weight(
        &self,
        name: TensorName<'_>,
        ty: &TensorType,
        rows: u64,
    ) -> Result<Vec<Metered>, WeightError> {
        let values = self.0.weight(name, ty, rows)?;
        Ok(values.into_iter().map(|x| Metered::constant(x.value())).collect())
    }
}

/// What a run is priced with.
pub struct Pricing {
    scheme: Scheme,
    plan: Plan,
    machine: Machine,
    times: Times,
}

impl Pricing {
    /// What the arguments ask for; nothing where they ask for no cost.
    ///
    /// # Errors
    /// An unknown device, or one that lacks what the scheme computes in.
    pub fn new(args: &RunArgs, loaded: &Loaded) -> Result<Option<Self>, Error> {
        let Some(hardware) = args.hardware.as_ref().filter(|_| args.cost) else { return Ok(None) };
        let (_, machine) = catalog::machine(hardware, &[], Fidelity::Realistic)?;
        let scheme = args.quant.as_deref().map_or(Ok(Scheme::sixteen_bit()), quality::scheme)?;
        check_overrides(loaded.graphs.parts().map(|(_, graph)| graph), &scheme)?;
        let plan = Plan::of(loaded.graphs.parts(), &scheme);
        Estimator::new(&plan, &machine)?;
        let times = fidelity::by_default(&machine)?;
        Ok(Some(Self { scheme, plan, machine, times }))
    }

    /// Runs the steps again over the counting scalar, and prices them.
    ///
    /// # Errors
    /// A step that cannot be run.
    pub fn cost<S: Scalar>(
        &self,
        args: &RunArgs,
        model: (&Loaded, &Graphs),
        weights: &dyn Weights<S>,
        tokens: (&[Vec<u64>], &[Vec<u64>]),
    ) -> Result<RunCost, Error> {
        let estimator = Estimator::new(&self.plan, &self.machine)?;
        let estimator = match self.times.silicon() {
            Some(silicon) => estimator.on(silicon),
            None => estimator,
        };
        let mut phases: Vec<PhaseCounts> = vec![];
        for (phase, step) in metered(args, model, weights, tokens)? {
            let cost = estimator.step(phase, &step.step);
            match phases.last_mut().filter(|last| last.cost.phase == phase) {
                Some(last) => last.add(&self.plan, &cost, &step.counts),
                None => phases.push(PhaseCounts::new(&self.plan, cost, &step.counts)),
            }
        }
        let level = self.machine.levels[estimator.slowest_index()].name.to_string();
        Ok(RunCost {
            title: title(model.0, &self.scheme, &self.machine) + &self.times.said(&self.machine),
            level,
            phases,
        })
    }
}

fn title(loaded: &Loaded, scheme: &Scheme, machine: &Machine) -> String {
    let (model, scheme, device) = (&loaded.arch.id, scheme.name(), &machine.id);
    format!("{model}: metered in the executor; priced in {scheme} on {device}")
}

/// The steps of the run with what they compute.
fn metered<S: Scalar>(
    args: &RunArgs,
    (loaded, graphs): (&Loaded, &Graphs),
    weights: &dyn Weights<S>,
    (tokens, made): (&[Vec<u64>], &[Vec<u64>]),
) -> Result<Vec<(Phase, MeteredStep)>, Error> {
    let (metering, weights) = (Metering::default(), Counting(weights));
    let mut session = session(args, (&loaded.arch, graphs), &weights, &metering);
    let mut steps = vec![];
    args.given.encode(loaded, &mut session, &|_| false)?;
    steps.extend(metering.take().into_iter().map(|step| (Phase::Encode, step)));
    let drawn = made.first().map_or(0, Vec::len);
    let logits = if drawn == 0 { Logits::All } else { Logits::Last };
    let all: usize = tokens.iter().map(Vec::len).sum();
    let bar = terminal::progress((all + drawn.saturating_sub(1) * tokens.len()) as u64);
    let mut step = |phase: Phase, new: &[Vec<u64>]| -> Result<(), RunError> {
        session.step(new, logits, &|_| false)?;
        steps.extend(metering.take().into_iter().map(|step| (phase, step)));
        bar.inc(new.iter().map(Vec::len).sum::<usize>() as u64);
        Ok(())
    };
    step(Phase::Prefill, tokens)?;
    for i in 1..drawn {
        let new: Vec<Vec<u64>> = made.iter().map(|made| vec![made[i - 1]]).collect();
        step(Phase::Decode, &new)?;
    }
    bar.finish_and_clear();
    Ok(steps)
}

impl PhaseCounts {
    fn new(plan: &Plan, cost: PhaseCost, counts: &BTreeMap<String, Counts>) -> Self {
        let mut rows: Vec<Row> = vec![];
        for operator in &cost.operators {
            let nodes = nodes(plan, operator);
            let mut new = Row { nodes, cost: operator.clone(), counts: Counts::default() };
            // A node that is fused in one layer and alone in another joins the kernels of both.
            let (mut others, same): (Vec<Row>, Vec<Row>) =
                rows.into_iter().partition(|row| row.nodes.is_disjoint(&new.nodes));
            if let Some(joined) = same.into_iter().reduce(Row::join) {
                new = joined.join(new);
            }
            others.push(new);
            rows = others;
        }
        rows.sort_by_key(|row| row.cost.kernel.unwrap_or(usize::MAX));
        let mut phase = Self { cost, rows };
        phase.count(counts);
        phase
    }

    fn add(&mut self, plan: &Plan, cost: &PhaseCost, counts: &BTreeMap<String, Counts>) {
        for operator in &cost.operators {
            let nodes = nodes(plan, operator);
            let row = self.rows.iter_mut().find(|row| !row.nodes.is_disjoint(&nodes));
            row.expect("invariant: the steps of a phase run the same kernels").cost.add(operator);
        }
        self.cost.steps += cost.steps;
        self.cost.step_time += cost.step_time;
        self.count(counts);
    }

    fn count(&mut self, counts: &BTreeMap<String, Counts>) {
        for (node, counted) in counts {
            let row = self.rows.iter_mut().find(|row| row.nodes.contains(node));
            row.expect("invariant: what runs is priced").counts += *counted;
        }
    }
}

impl Row {
    fn join(mut self, other: Self) -> Self {
        let name = other.cost.name.as_str();
        if !self.cost.name.split(", ").any(|n| n == name) {
            self.cost.name = format!("{}, {name}", self.cost.name);
        }
        self.cost.add(&other.cost);
        self.nodes.extend(other.nodes);
        self.counts += other.counts;
        self
    }
}

fn nodes(plan: &Plan, operator: &OperatorCost) -> BTreeSet<String> {
    // What the host takes has no nodes: its own name stands for it.
    let Some(kernel) = operator.kernel.map(|i| &plan.kernels[i]) else {
        return BTreeSet::from([operator.name.clone()]);
    };
    plan.nodes[kernel.nodes.clone()].iter().map(|node| node.name.clone()).collect()
}

impl RunCost {
    /// A table a phase.
    pub fn to_text(&self) -> String {
        let mut text = format!("\n{}\n", self.title);
        for phase in &self.phases {
            let (name, time, steps) =
                (phase.cost.phase.name(), phase.cost.step_time, phase.cost.steps);
            let steps = if steps > 1 { format!(" in {steps} steps") } else { String::new() };
            text += &format!("\n{name}: {time} simulated{steps}\n");
            text += &self.table(phase).to_terminal(terminal::shape());
        }
        text
    }

    fn table(&self, phase: &PhaseCounts) -> Table {
        let mut table = Table::new(vec![
            Column::text("operator"),
            Column::number("launches", ""),
            Column::number("metered operations", ""),
            Column::number("priced operations", ""),
            Column::number("bytes", ""),
            Column::number("simulated time", ""),
            Column::number("share", ""),
            Column::text("bound"),
        ]);
        table.rows.extend(phase.rows.iter().map(|Row { cost, counts, .. }| {
            vec![
                cost.name.clone(),
                cost.count.to_string(),
                Flops::new(counts.total() as f64).to_string(),
                cost.flops().to_string(),
                cost.bytes.to_string(),
                cost.time.to_string(),
                format!("{:.1} %", cost.time / phase.cost.step_time * 100.0),
                cost.bound_name(&self.level).to_owned(),
            ]
        }));
        table
    }

    /// The same with operations by engine class: matrix, vector, special.
    pub fn to_json(&self) -> Value {
        let row = |Row { cost, counts, .. }: &Row| {
            json!({
                "operator": cost.name, "launches": cost.count,
                "metered": [counts.matrix, counts.vector, counts.special],
                "priced": cost.operations.map(Flops::get),
                "bytes": cost.bytes.get(), "time_s": cost.time.get(),
                "bound": cost.bound_name(&self.level),
            })
        };
        let phase = |phase: &PhaseCounts| {
            json!({
                "phase": phase.cost.phase.name(), "steps": phase.cost.steps,
                "time_s": phase.cost.step_time.get(),
                "operators": phase.rows.iter().map(row).collect::<Vec<_>>(),
            })
        };
        let phases: Vec<Value> = self.phases.iter().map(phase).collect();
        json!({ "title": self.title, "phases": phases })
    }
}
