//! A plan bound to a machine: per node the seconds per operation, ready for any step.

use super::bound::{Bound, BoundSet, Resource};
use super::exchange::{ExchangeTime, NoLink, Peers};
use super::host::{HostTime, NoHost};
use super::kernel::KernelCost;
use super::mapped::{Binding, Timed};
use crate::hardware::{
    Engine, EngineClass, Fidelity, LinkRate, Machine, MissingEngine, OriginId, Rate,
};
use crate::mapping::{Plan, PlanKernel, PlanNode};
use crate::op::{MeshAxis, Op, Pattern, Work};
use crate::provenance::Basis;
use crate::tensor::{KvLayout, Step};
use crate::units::Seconds;
use std::collections::BTreeSet;

/// A plan that a machine cannot run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EstimateError {
    /// No engine for a format that is computed in.
    #[error(transparent)]
    MissingEngine(#[from] MissingEngine),
    /// No link for an exchange between devices.
    #[error(transparent)]
    NoLink(#[from] NoLink),
    /// No link to the host memory that something lies in.
    #[error(transparent)]
    NoHost(#[from] NoHost),
}

/// Evaluates steps of one plan on one machine.
#[derive(Debug, Clone)]
pub struct Estimator<'a> {
    pub(super) plan: &'a Plan,
    pub(super) machine: &'a Machine,
    /// Seconds per matrix operation, node by node, and whether the vector engine runs it.
    matrix: Vec<(f64, bool)>,
    /// The exchanges among the nodes, node by node; empty where there are none.
    pub(super) exchanges: Vec<Option<ExchangeTime>>,
    /// What kernels are mapped with; `None` where they take the roofline's time.
    pub(super) binding: Option<Binding<'a>>,
    /// Peak of the matrix engine that runs each node, operations per second.
    peaks: Vec<f64>,
    /// The host link, where something lies in host memory.
    host: Option<HostTime>,
    /// Seconds per vector and per special operation; 0 where the rate is not modelled (A17).
    vector: f64,
    special: f64,
    /// Seconds per byte of the slowest level.
    memory: f64,
    /// Index of that level.
    pub(super) slowest: usize,
    /// Seconds per launch.
    pub(super) launch: f64,
    /// The engines in use, those of projections first.
    engines: Vec<Engine>,
}

/// How well the inputs of an estimate are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Provenance {
    /// The weakest basis among the rates in use.
    pub basis: Basis,
    /// The inputs that have it, as paths in the profile.
    pub because: Vec<String>,
}

impl<'a> Estimator<'a> {
    /// Binds a plan to a machine.
    ///
    /// # Errors
    /// The machine has no engine for a format that the scheme computes in, or no link for an
    /// exchange of the plan, or none to the host memory that it uses.
    pub fn new(plan: &'a Plan, machine: &'a Machine) -> Result<Self, EstimateError> {
        let runs = plan.nodes.iter().map(|node| engine(machine, node));
        let runs = runs.collect::<Result<Vec<Engine>, MissingEngine>>()?;
        let per_op = |e: &Engine| (1.0 / e.rate.effective().get(), e.class == EngineClass::Vector);
        let inverse =
            |rate: &Option<Rate>| rate.as_ref().map_or(0.0, |r| 1.0 / r.effective().get());
        let (slowest, memory) = slowest_level(machine);
        Ok(Self {
            plan,
            machine,
            matrix: runs.iter().map(per_op).collect(),
            exchanges: exchanges(plan, machine)?,
            binding: None,
            peaks: runs.iter().map(|e| e.rate.peak.get()).collect(),
            host: plan.placement.offload.any().then(|| HostTime::new(machine)).transpose()?,
            vector: inverse(&machine.vector),
            special: inverse(&machine.special),
            memory,
            slowest,
            launch: machine.kernel_launch.value.get(),
            engines: in_use(plan, &runs),
        })
    }

    /// Another plan on the same machine, with its kernels' times found alike.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn beside(&self, plan: &'a Plan) -> Result<Self, EstimateError> {
        let other = Self::new(plan, self.machine)?;
        Ok(match &self.binding {
            Some(binding) => other.on(binding.silicon()),
            None => other,
        })
    }

    /// Peak of the matrix engine that runs a node, operations per second.
    pub(super) fn engine_peak(&self, node: usize) -> f64 {
        self.peaks[node]
    }

    /// The inputs behind a bound: basis and origin of each.
    fn inputs(&self, bound: Bound) -> impl Iterator<Item = (Basis, OriginId)> + '_ {
        let rate = |rate: &Option<Rate>| rate.map(|r| (r.basis, r.origin));
        let level = &self.machine.levels[self.slowest];
        let launch = self.machine.kernel_launch;
        let found: [Option<(Basis, OriginId)>; 2] = match bound {
            Bound::Resource(Resource::Matrix) => [None, None],
            Bound::Resource(Resource::Vector) => [rate(&self.machine.vector), None],
            Bound::Resource(Resource::Special) => [rate(&self.machine.special), None],
            Bound::Resource(Resource::Memory) => [Some((level.basis, level.origin)), None],
            Bound::Resource(Resource::Link) => self.links(),
            Bound::Resource(Resource::Host) => [self.host.as_ref().map(|h| h.input), None],
            Bound::Overhead => [(self.launch > 0.0).then_some((launch.basis, launch.origin)), None],
        };
        let of_engines = bound == Bound::Resource(Resource::Matrix);
        let engines = if of_engines { self.engines.as_slice() } else { &[] };
        let engines = engines.iter().map(|e| (e.rate.basis, e.rate.origin));
        found.into_iter().flatten().chain(engines)
    }

    /// The weakest basis among the inputs that the times of a request depend on: the rates that
    /// bound a kernel of it, and the launch, which every kernel pays. Where kernels are mapped: the calibrations
    /// that they take, and the links and the launch of those that keep the roofline's time.
    pub fn basis(&self, bounds: BoundSet) -> Basis {
        let inputs = self.used(bounds).map(|(basis, _)| basis);
        let origins = self.binding.iter().flat_map(|b| &b.origins).map(|(basis, _)| *basis);
        inputs.chain(origins).max().unwrap_or(Basis::Datasheet)
    }

    /// The figures of the profile that times depend on: basis and origin of each.
    fn used(&self, bounds: BoundSet) -> impl Iterator<Item = (Basis, OriginId)> + '_ {
        let used = Bound::ALL.into_iter().filter(move |b| match (&self.binding, b) {
            (None, b) => bounds.contains(*b) || *b == Bound::Overhead,
            (Some(_), Bound::Resource(Resource::Host)) => bounds.contains(*b),
            (Some(binding), Bound::Resource(Resource::Link) | Bound::Overhead) => {
                binding.keeps_roofline
            }
            (Some(_), _) => false,
        });
        used.flat_map(|b| self.inputs(b))
    }

    /// [`Self::basis`] with the inputs that cause it.
    pub fn provenance(&self, bounds: BoundSet) -> Provenance {
        let basis = self.basis(bounds);
        let origins = self.binding.iter().flat_map(|b| &b.origins);
        let origins = origins.filter(|(b, _)| *b == basis).map(|(_, origin)| origin.clone());
        let figures = self.used(bounds).filter(|(b, _)| *b == basis);
        let paths = figures.map(|(_, origin)| self.machine.origin(origin).path.clone());
        let mut because: Vec<String> = vec![];
        for path in origins.chain(paths) {
            if !because.contains(&path) {
                because.push(path);
            }
        }
        Provenance { basis, because }
    }

    /// The links that the exchanges of the plan go over: basis and origin of each.
    fn links(&self) -> [Option<(Basis, OriginId)>; 2] {
        let used = |crosses: bool, link: &Option<LinkRate>| {
            let link = link.as_ref()?;
            let times = || self.exchanges.iter().flatten().filter(|e| e.crosses == crosses);
            let basis = times().map(|e| e.basis(link)).max()?;
            Some((basis, link.origin))
        };
        [used(false, &self.machine.scaleup), used(true, &self.machine.network)]
    }

    /// The 2:4 sparse products for whose format the machine has no sparse figure.
    fn dense_rates(&self) -> BTreeSet<String> {
        let sparse = self.plan.nodes.iter().filter(|n| n.two_of_four);
        let engines = sparse.filter_map(|n| engine(self.machine, n).ok());
        let dense = engines.filter(|e| e.class != EngineClass::Sparse);
        dense.map(|e| format!("engines.sparse.{0} = engines.matrix.{0} (A62)", e.format)).collect()
    }

    /// Named fallbacks in use, those of the links in use included.
    pub fn fallbacks(&self) -> Vec<String> {
        let links: BTreeSet<&String> =
            self.exchanges.iter().flatten().flat_map(|e| &e.fallbacks).collect();
        let host = self.host.iter().filter_map(|h| h.fallback.as_ref());
        let sparse = self.dense_rates();
        if let Some(binding) = &self.binding {
            let kept = binding.keeps_roofline;
            let own = self.machine.fallbacks.iter().filter(|_| kept);
            let links = links.into_iter().filter(|_| kept);
            return binding
                .fallbacks
                .iter()
                .chain(own)
                .chain(links)
                .chain(host)
                .chain(&sparse)
                .cloned()
                .collect();
        }
        self.machine.fallbacks.iter().chain(links).chain(host).chain(&sparse).cloned().collect()
    }

    /// How times are found: `ideal`, `mapped` or `roofline`.
    pub fn fidelity(&self) -> &'static str {
        match (self.machine.fidelity, &self.binding) {
            (Fidelity::Ideal, _) => "ideal",
            (_, Some(_)) => "mapped",
            (_, None) => "roofline",
        }
    }

    /// Devices that share the work.
    pub const fn devices(&self) -> u64 {
        self.plan.parallel.devices()
    }

    /// Index of the memory level that bounds memory time.
    pub const fn slowest_index(&self) -> usize {
        self.slowest
    }

    /// The engines in use, those of projections first.
    pub fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// The engines that do the matrix work of a kernel in a step.
    pub fn engines_of(&self, kernel: &PlanKernel, step: &Step) -> Vec<Engine> {
        let nodes = self.plan.nodes[kernel.nodes.clone()].iter();
        let multiply = nodes.filter(|n| n.op.work(step).matrix > 0.0);
        distinct(multiply.filter_map(|n| engine(self.machine, n).ok()))
    }

    /// Demand and resource times of one launch.
    pub fn kernel(&self, kernel: &PlanKernel, step: &Step) -> KernelCost {
        let mut cost = KernelCost::default();
        let (mut on_vector, mut messages) = (0.0, 0.0_f64);
        let block = self.plan.placement.layout.block();
        for i in kernel.nodes.clone() {
            let node = &self.plan.nodes[i];
            let work = node.op.work(step);
            let (per_op, vector_runs_it) = self.matrix[i];
            cost.operations[0] += work.matrix;
            cost.operations[1] += work.vector;
            cost.operations[2] += work.special;
            cost.conversions += node.conversion_ops(&work);
            cost.bytes += node.bytes(&work);
            if let (Some(mask), Some(block)) = (node.table, block) {
                cost.bytes += KvLayout::ENTRY * step.visible_blocks(mask, block);
            }
            if let Some(host) = &self.host {
                let bytes = node.host_bytes(&work, &self.plan.placement);
                cost.hosted += bytes;
                cost.times[Resource::Host as usize] += bytes * host.beta;
            }
            if vector_runs_it {
                on_vector += work.matrix * per_op;
            } else {
                cost.times[0] += work.matrix * per_op;
            }
            if let Some(Some(exchange)) = self.exchanges.get(i) {
                let bytes = exchanged(node, &work);
                cost.exchanged += bytes;
                cost.times[Resource::Link as usize] += bytes * exchange.beta;
                // The exchanges of a kernel go in the same messages.
                messages = messages.max(exchange.alpha);
            }
        }
        cost.times[Resource::Link as usize] += messages;
        cost.times[1] = (cost.operations[1] + cost.conversions) * self.vector + on_vector;
        cost.times[2] = cost.operations[2] * self.special;
        cost.times[3] = cost.bytes * self.memory;
        cost
    }

    /// Time of one launch, mapped where kernels are.
    pub fn launch_time(&self, kernel: &PlanKernel, step: &Step) -> Seconds {
        Seconds::new(self.timed(kernel, step, &self.kernel(kernel, step)).seconds)
    }

    /// Time of one launch by the roofline.
    pub(super) fn time(&self, cost: &KernelCost) -> f64 {
        cost.longest() + self.launch
    }

    /// What limits one launch: of its resources the one that takes longest, or its start.
    pub(super) fn bound(cost: &KernelCost, time: &Timed) -> Bound {
        Bound::of(&cost.times, time.launch)
    }
}

/// What runs the matrix work of a node.
fn engine(machine: &Machine, node: &PlanNode) -> Result<Engine, MissingEngine> {
    if node.two_of_four { machine.sparse(node.compute) } else { machine.matrix(node.compute) }
}

/// The engines of a plan: those of the scheme's projections first, of sparse ones before dense ones.
fn in_use(plan: &Plan, runs: &[Engine]) -> Vec<Engine> {
    let mut all: Vec<(&PlanNode, &Engine)> = plan.nodes.iter().zip(runs).collect();
    all.sort_by_key(|(n, _)| (n.compute != plan.scheme.projection, !n.two_of_four));
    distinct(all.into_iter().map(|(_, engine)| *engine))
}

fn distinct(engines: impl Iterator<Item = Engine>) -> Vec<Engine> {
    let mut found: Vec<Engine> = vec![];
    for engine in engines {
        if !found.contains(&engine) {
            found.push(engine);
        }
    }
    found
}

/// The time of every exchange of a plan, node by node; empty where there are none.
fn exchanges(plan: &Plan, machine: &Machine) -> Result<Vec<Option<ExchangeTime>>, NoLink> {
    let step = Step::decode(1, 1).expect("invariant: one token is a step");
    let mut times = vec![];
    for kernel in &plan.kernels {
        for i in kernel.nodes.clone() {
            let Pattern::Collective { exchange, ranks, along, .. } =
                plan.nodes[i].op.pattern(&step)
            else {
                continue;
            };
            let stride = plan.parallel.stride(along);
            let first = kernel.stage * plan.parallel.stride(MeshAxis::Pipeline);
            let peers = Peers { ranks, stride, first };
            times.resize(plan.nodes.len(), None);
            times[i] = Some(ExchangeTime::new(machine, exchange, peers)?);
        }
    }
    Ok(times)
}

/// Bytes of an exchange: those of its larger side.
fn exchanged(node: &PlanNode, work: &Work) -> f64 {
    if let Op::MergeAttention(_) = node.op {
        let summands = work.reads.iter().zip(node.read_bytes).take(2);
        return summands.map(|(elements, bytes)| elements * bytes).sum();
    }
    (work.reads[0] * node.read_bytes[0]).max(work.writes * node.write_bytes)
}

/// The level whose effective bandwidth is lowest, and its seconds per byte (A16).
fn slowest_level(machine: &Machine) -> (usize, f64) {
    let times = machine
        .levels
        .iter()
        .enumerate()
        .filter_map(|(i, level)| level.effective().map(|bandwidth| (i, 1.0 / bandwidth.get())));
    times.fold(
        (machine.dram, 0.0),
        |slowest, level| if level.1 > slowest.1 { level } else { slowest },
    )
}
