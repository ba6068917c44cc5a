//! The flat plan: kernels over nodes, each with its operator and the bytes of its operands.

use super::footprint::Footprint;
use super::quantize::rewritten;
use super::storage::{Formats, facts};
use crate::dtype::{Compute, ModelFacts, Scheme};
use crate::graph::shard::{
    Parallel, ShardError, broadcast, context_parallel, expert_parallel, pipeline, tensor_parallel,
};
use crate::graph::{Graph, Kernel, Kind, NodeId};
use crate::op::split::Rank;
use crate::op::{MAX_OPERANDS, Op, Work};
use crate::tensor::{Kept, Mask, Phase, Phases, Placement, Role, Step};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// The graphs of a model under a scheme, compiled to arrays.
///
/// Every number that depends on the step comes from [`Op::work`]; what is stored here per operand
/// are bytes per element moved off chip and vector operations per element for conversions.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Kernels in order of execution within each phase.
    pub kernels: Vec<PlanKernel>,
    /// Nodes, kernel by kernel.
    pub nodes: Vec<PlanNode>,
    /// Memory demand of a device; with a pipeline, of one of the first stage.
    pub footprint: Footprint,
    /// Memory demand of a device of each later stage.
    pub later: Vec<Footprint>,
    /// How devices share the work; the kernels are those of one rank of each stage.
    pub parallel: Parallel,
    /// The scheme that it was compiled with.
    pub scheme: Scheme,
    /// How the KV cache lies in memory, and what lies in host memory.
    pub placement: Placement,
    /// Contexts at which a sliding window fills, ascending.
    pub windows: Vec<u64>,
}

/// One launch and how often it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanKernel {
    /// Name; unique among the kernels of a phase and stage.
    pub name: String,
    /// The stage of the pipeline that runs it, from 0.
    pub stage: u64,
    /// When that stage runs it.
    pub turn: Turn,
    /// The phases that run it.
    pub phases: Phases,
    /// Its nodes.
    pub nodes: Range<usize>,
    /// Launches per step.
    pub count: u64,
    /// Whether its work in a decode step changes with the context.
    pub sees_context: bool,
}

/// When a stage of a pipeline runs a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// On what the stage before hands on.
    Through,
    /// With all stages at once, on what the last of them has made.
    Together,
}

/// One operator with the storage of what it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanNode {
    /// Name inside the model.
    pub name: String,
    /// The operator.
    pub op: Op,
    /// What its matrix work is computed in.
    pub compute: Compute,
    /// Bytes per element read of each operand; 0 where it is on chip already.
    pub read_bytes: [f64; MAX_OPERANDS],
    /// Bytes per element written; 0 where every reader has it on chip.
    pub write_bytes: f64,
    /// Vector operations per element read of each operand, and per element written.
    pub conversions: ([f64; MAX_OPERANDS], f64),
    /// Whether each operand and the result outlive the step.
    pub kept: ([Kept; MAX_OPERANDS], Kept),
    /// The mask of the attention whose block table is read here, where the cache is paged: once in
    /// a kernel.
    pub table: Option<Mask>,
    /// Whether it multiplies by 2:4 sparse weights.
    pub two_of_four: bool,
}

impl Plan {
    /// Compiles the graph of a decoder whose phases run alike under a scheme.
    pub fn new(graph: &Graph, scheme: &Scheme) -> Self {
        Self::of([(Phases::DECODER, graph)], scheme)
    }

    /// Compiles the graphs of a model under a scheme, each with the phases that run it.
    pub fn of<'a>(parts: impl IntoIterator<Item = (Phases, &'a Graph)>, scheme: &Scheme) -> Self {
        let mut plan = Self::empty(scheme, Parallel::ONE);
        for (phases, graph) in parts {
            let part = Part { stage: 0, turn: Turn::Through, facts: facts(graph) };
            plan.add(phases, &rewritten(graph, scheme), part);
        }
        plan.windows = plan.footprint.windows();
        plan
    }

    /// Compiles the graphs of a model for devices that share its work: of each stage of the
    /// pipeline the first rank, which holds as much as any other (A46).
    ///
    /// # Errors
    /// A model that does not go over so many devices.
    pub fn parallel<'a>(
        parts: impl IntoIterator<Item = (Phases, &'a Graph)>,
        scheme: &Scheme,
        parallel: Parallel,
    ) -> Result<Self, ShardError> {
        let mut plan = Self::empty(scheme, parallel);
        let parts: Vec<(Phases, Cow<'_, Graph>)> =
            parts.into_iter().map(|(phases, graph)| (phases, rewritten(graph, scheme))).collect();
        for index in 0..parallel.pipeline {
            for (phases, graph) in &parts {
                let stage = Rank { index, of: parallel.pipeline };
                let part = Part { stage: index, turn: Turn::Through, facts: facts(graph) };
                plan.add_stage(*phases, &pipeline(graph, stage)?, part)?;
                if let Some(graph) = broadcast(graph, stage)? {
                    let part = Part { turn: Turn::Together, ..part };
                    plan.add_stage(*phases, &graph, part)?;
                }
            }
        }
        plan.footprint.context = parallel.context;
        plan.later.iter_mut().for_each(|f| f.context = parallel.context);
        let windows = plan.footprints().flat_map(Footprint::windows);
        plan.windows = windows.collect::<BTreeSet<u64>>().into_iter().collect();
        Ok(plan)
    }

    fn empty(scheme: &Scheme, parallel: Parallel) -> Self {
        Self {
            kernels: vec![],
            nodes: vec![],
            footprint: Footprint::default(),
            later: vec![Footprint::default(); parallel.pipeline as usize - 1],
            parallel,
            scheme: scheme.clone(),
            placement: Placement::default(),
            windows: vec![],
        }
    }

    /// The same plan with its cache laid out, and its weights and cache placed, in another way.
    pub fn placed(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self.footprint.placement = placement;
        self.later.iter_mut().for_each(|f| f.placement = placement);
        self
    }

    /// Memory demand of a device of each stage.
    pub fn footprints(&self) -> impl Iterator<Item = &Footprint> {
        std::iter::once(&self.footprint).chain(&self.later)
    }

    /// Adds the graph of a stage, as the first rank of the rest runs it.
    fn add_stage(&mut self, phases: Phases, graph: &Graph, part: Part) -> Result<(), ShardError> {
        let parallel = self.parallel;
        for (phases, graph) in of_positions(phases, graph, parallel.context)? {
            let replica = Rank { index: 0, of: parallel.expert_replicas() };
            let replica = expert_parallel(&graph, replica, parallel.ways())?;
            let rank = Rank { index: 0, of: parallel.tensor };
            self.add(phases, &tensor_parallel(&replica, rank, parallel.ways())?, part);
        }
        Ok(())
    }

    fn add(&mut self, phases: Phases, graph: &Graph, Part { stage, turn, facts }: Part) {
        let scheme = self.scheme.clone();
        let formats = Formats::of_model(graph, &scheme, facts);
        let footprint = match stage {
            0 => &mut self.footprint,
            later => &mut self.later[later as usize - 1],
        };
        footprint.add(phases, graph, &formats);
        for kernel in graph.kernels() {
            let first = self.nodes.len();
            let scope = Scope::new(graph, &formats, &kernel);
            self.nodes.extend(kernel.nodes.iter().filter_map(|&n| scope.node(n)));
            let nodes = first..self.nodes.len();
            let sees_context = self.nodes[nodes.clone()].iter().any(|n| sees_context(&n.op));
            let name = self.free_name((phases, stage), kernel.name);
            let count = kernel.count;
            let kernel = PlanKernel { name, stage, turn, phases, nodes, count, sees_context };
            self.kernels.push(kernel);
        }
    }

    /// Whether a kernel holds a node of that name.
    pub fn has_node(&self, kernel: usize, name: &str) -> bool {
        self.nodes[self.kernels[kernel].nodes.clone()].iter().any(|n| n.name == name)
    }

    /// A name that no kernel of these phases and this stage has yet: a number behind it where it
    /// repeats.
    fn free_name(&self, (phases, stage): (Phases, u64), name: String) -> String {
        let taken = |name: &str| {
            let mut others = self.kernels.iter().filter(|k| k.stage == stage);
            others.any(|k| k.phases.meets(phases) && k.name == name)
        };
        if !taken(&name) {
            return name;
        }
        let numbered = (2..).map(|n| format!("{name}#{n}")).find(|n| !taken(n));
        numbered.unwrap_or(name)
    }
}

impl PlanNode {
    /// Bytes moved off chip for this work.
    pub fn bytes(&self, work: &Work) -> f64 {
        let reads: f64 = work.reads.iter().zip(&self.read_bytes).map(|(e, b)| e * b).sum();
        reads + work.writes * self.write_bytes
    }

    /// Bytes of this work that lie in host memory.
    pub fn host_bytes(&self, work: &Work, placement: &Placement) -> f64 {
        let (read, written) = &self.kept;
        let host = |kept: Kept| f64::from(u8::from(placement.offload.holds(kept)));
        let reads = work.reads.iter().zip(&self.read_bytes).zip(read);
        let reads: f64 = reads.map(|((e, b), kept)| e * b * host(*kept)).sum();
        reads + work.writes * self.write_bytes * host(*written)
    }

    /// Vector operations spent on converting between storage and compute formats (A10).
    pub fn conversion_ops(&self, work: &Work) -> f64 {
        let (reads, write) = &self.conversions;
        let read: f64 = work.reads.iter().zip(reads).map(|(e, c)| e * c).sum();
        read + work.writes * write
    }
}

/// Which part of a model a graph is.
#[derive(Debug, Clone, Copy)]
struct Part {
    stage: u64,
    turn: Turn,
    /// Those of the whole graph.
    facts: ModelFacts,
}

/// A kernel being compiled: which values it holds on chip.
struct Scope<'a> {
    graph: &'a Graph,
    formats: &'a Formats<'a>,
    kernel: &'a Kernel,
}

impl<'a> Scope<'a> {
    fn new(graph: &'a Graph, formats: &'a Formats<'a>, kernel: &'a Kernel) -> Self {
        Self { graph, formats, kernel }
    }

    fn node(&self, id: NodeId) -> Option<PlanNode> {
        let op = self.graph.op(id)?.clone();
        let mut read_bytes = [0.0; MAX_OPERANDS];
        let mut read_conversions = [0.0; MAX_OPERANDS];
        let mut kept = [Kept::No; MAX_OPERANDS];
        for (i, operand) in self.graph.operands(id).into_iter().enumerate() {
            kept[i] = self.graph.node(operand).ty.kept();
            if !self.is_on_chip(operand, id) {
                read_bytes[i] = self.formats.bits_per_element(operand) / 8.0;
                read_conversions[i] = self.formats.read_conversion(operand, id);
            }
        }
        let written = self.is_written(id);
        Some(PlanNode {
            name: self.graph.node(id).name.clone(),
            op,
            compute: self.formats.compute(id),
            read_bytes,
            write_bytes: if written { self.formats.bits_per_element(id) / 8.0 } else { 0.0 },
            conversions: (read_conversions, self.formats.write_conversion(id)),
            kept: (kept, self.graph.node(id).ty.kept()),
            table: self.table(id),
            two_of_four: self.formats.is_two_of_four(id),
        })
    }

    /// The mask of the cache that a node attends to, unless an earlier node of this kernel does.
    fn table(&self, id: NodeId) -> Option<Mask> {
        let attends = |id: NodeId| {
            let own = matches!(self.graph.node(id).ty.role, Role::KvCache { .. });
            let operands = self.graph.operands(id).into_iter().filter(|_| !own);
            operands.map(|o| self.graph.node(o).ty.kept()).find_map(|kept| match kept {
                Kept::Cache(mask) => Some(mask),
                Kept::No | Kept::Weight => None,
            })
        };
        let found = attends(id)?;
        let mut earlier = self.kernel.nodes.iter().take_while(|&&n| n != id);
        (!earlier.any(|&n| attends(n) == Some(found))).then_some(found)
    }

    /// Made or read by an earlier node of this kernel. A cache comes from memory once, also where
    /// this kernel has appended to it.
    fn is_on_chip(&self, operand: NodeId, reader: NodeId) -> bool {
        let cached = matches!(self.graph.node(operand).ty.role, Role::KvCache { .. });
        let value = self.value_before(operand);
        let mut earlier = self.kernel.nodes.iter().take_while(|&&n| n != reader);
        earlier.any(|&n| (n == value && !cached) || self.graph.operands(n).contains(&operand))
    }

    /// The value behind a carried one, where this kernel holds the iteration before.
    fn value_before(&self, operand: NodeId) -> NodeId {
        let carry = self.graph.region(operand).carry;
        match (&self.graph.node(operand).kind, carry) {
            (Kind::Carry, Some(carry)) if self.kernel.nodes.contains(&carry.back) => carry.back,
            _ => operand,
        }
    }

    /// Read by another than a later node of this kernel, kept in the cache, or a result of the step.
    fn is_written(&self, id: NodeId) -> bool {
        let later = self.kernel.nodes.iter().skip_while(|&&n| n != id).skip(1);
        let inside: BTreeSet<NodeId> = later.copied().collect();
        matches!(self.graph.node(id).ty.role, Role::KvCache { .. })
            || self.graph.outputs().contains(&id)
            || self.graph.readers(id).iter().any(|r| !inside.contains(r))
    }
}

/// The graphs of the rank that has most to do of those that share the positions of a sequence, by phase: the
/// last in a prefill, whose queries see most keys, the first in decoding, which holds most.
fn of_positions(
    phases: Phases,
    graph: &Graph,
    ranks: u64,
) -> Result<Vec<(Phases, Cow<'_, Graph>)>, ShardError> {
    if ranks == 1 {
        return Ok(vec![(phases, Cow::Borrowed(graph))]);
    }
    let most = [(Phase::Encode, 0), (Phase::Prefill, ranks - 1), (Phase::Decode, 0)];
    let of_phase = most.into_iter().filter(|(phase, _)| phases.contains(*phase));
    let part = |(phase, index)| {
        let rank = Rank { index, of: ranks };
        Ok((Phases::only(phase), Cow::Owned(context_parallel(graph, rank, phase)?)))
    };
    of_phase.map(part).collect()
}

/// Whether a decode step's work grows with the context: a window ends its growth, and of a stripe it begins
/// when every rank has a token.
fn sees_context(op: &Op) -> bool {
    const FAR: u64 = 1 << 20;
    let work = |context| Step::decode(1, context).map(|step| op.work(&step));
    work(1) != work(2) || work(1) != work(FAR)
}
