//! The shapes that a kernel's launches have in a step.

use super::binding::{Binding, Role};
use super::silicon::{Carried, Known};
use crate::cost::estimator::Estimator;
use crate::cost::kernel::KernelCost;
use crate::mapped::calibration::Tuned;
use crate::mapped::{
    AllReduce, Attended, Decode, Exchange, Matmul, Operand, Prefill, Shape, Stream, Whole,
};
use crate::mapping::PlanKernel;
use crate::op::{self, Pattern};
use crate::tensor::Step;
use smallvec::SmallVec;

/// Most queries per sequence that kernels for single queries take: tokens that a verify step adds.
const FEW: f64 = 16.0;
/// Bytes per element of what stays on chip or is not named: 16-bit floats.
const SIXTEEN: f64 = 2.0;
/// The least share of a causal triangle that every query of a prompt sees where nothing is hidden.
const ALL: f64 = 0.99;

/// A part of a kernel: a shape with the parameters that it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'t> {
    /// Node of the plan.
    pub(super) node: usize,
    /// What it demands.
    pub(super) shape: Shape,
    /// The format whose parameters it takes.
    pub(super) format: &'static str,
    /// The parameters.
    pub(super) tuned: &'t Tuned,
}

impl<'t> Part<'t> {
    const fn new(node: usize, shape: Shape, known: &'t Known) -> Self {
        Self { node, shape, format: known.format, tuned: &known.tuned }
    }

    /// Seconds of its launch.
    pub(super) fn launch(&self) -> f64 {
        let parameters = self.shape.kind().parameters().iter();
        let launch = parameters.zip(&self.tuned.values).find(|(p, _)| p.name == "launch");
        launch.map_or(0.0, |(_, value)| *value)
    }
}

/// Takes the parts of a kernel.
type Visit<'v> = dyn FnMut(&Part<'_>) + 'v;

fn stored(bytes: f64) -> f64 {
    if bytes > 0.0 { bytes } else { SIXTEEN }
}

impl Estimator<'_> {
    /// Visits the parts of a kernel in a step, which follow each other; `None` where it is of none that are
    /// mapped.
    pub(super) fn parts(
        &self,
        binding: &Binding<'_>,
        kernel: &PlanKernel,
        (step, cost): (&Step, &KernelCost),
        visit: &mut Visit<'_>,
    ) -> Option<()> {
        let role = binding.role(kernel);
        if let (Some(known), false) = (&binding.silicon.whole, matches!(role, Role::Exchange(_))) {
            let (flops, peak) = (cost.operations[0], self.whole_peak(kernel, step));
            let shape = Shape::Whole(Whole { flops, peak, bytes: cost.bytes });
            visit(&Part::new(kernel.nodes.start, shape, known));
            return Some(());
        }
        match role {
            Role::Exchange(node) => self.exchange(binding, node, (step, cost), visit),
            Role::Attention(node) => self.attention(binding, node, (step, cost), visit),
            Role::Products => self.products(binding, kernel, step, visit),
            Role::Stream => {
                let known = binding.silicon.stream.as_ref()?;
                let shape = Shape::Stream(Stream { bytes: cost.bytes, set: cost.bytes });
                visit(&Part::new(kernel.nodes.start, shape, known));
                Some(())
            }
        }
    }

    /// Products of one kernel: those of the same operand side by side, others one after the other.
    fn products(
        &self,
        binding: &Binding<'_>,
        kernel: &PlanKernel,
        step: &Step,
        visit: &mut Visit<'_>,
    ) -> Option<()> {
        let mut all: SmallVec<[(Matmul, usize); 3]> = SmallVec::new();
        for i in kernel.nodes.clone() {
            let node = &self.plan.nodes[i];
            let Pattern::Contraction { b, m, n, k } = node.op.pattern(step) else { continue };
            let (a, w) = (stored(node.read_bytes[0]), stored(node.read_bytes[1]));
            let beside =
                all.iter_mut().find(|(e, _)| (e.groups, e.m, e.k, e.b.bytes) == (b, m, k, w));
            if let Some((earlier, _)) = beside {
                earlier.n += n;
                continue;
            }
            let activations = Operand { bytes: a, set: b * m * (k * a + 2.0 * n) };
            let weights = Operand { bytes: w, set: f64::INFINITY };
            let peak = self.engine_peak(i);
            let (a, b, groups) = (activations, weights, b);
            all.push((Matmul { groups, m, n, k, a, b, out: SIXTEEN, peak }, i));
        }
        for (product, node) in all {
            let compute = self.plan.nodes[node].compute;
            let known = binding.silicon.product(product.groups, compute, product.b.bytes)?;
            visit(&Part::new(node, Shape::Matmul(product), known));
        }
        Some(())
    }

    /// Attention group by group of the step's sequences. Heads are as wide, and keys and values as many bytes,
    /// as the kernel's counted operations and bytes say: heads of keys and values may differ, a latent serves
    /// as both, a window hides keys.
    fn attention(
        &self,
        binding: &Binding<'_>,
        i: usize,
        (step, cost): (&Step, &KernelCost),
        visit: &mut Visit<'_>,
    ) -> Option<()> {
        let node = &self.plan.nodes[i];
        let Pattern::Attention { heads, kv_heads, pairs, .. } = node.op.pattern(step) else {
            return None;
        };
        let kv_element = stored(node.read_bytes[1]);
        let head_dim = cost.operations[0] / (4.0 * heads * pairs).max(1.0);
        let contexts: f64 = step
            .groups()
            .iter()
            .map(|g| g.count as f64 * g.new as f64 * (g.past + g.new) as f64)
            .sum();
        // What masks and encoders let a query see, of all keys.
        let seen = pairs / contexts;
        let over = |g: &crate::tensor::Group| {
            let [batch, queries, past] = [g.count, g.new, g.past].map(|n| n as f64);
            let keys = past + queries;
            let hidden = queries > FEW && seen < ALL;
            let keys = if hidden { keys } else { (seen * keys).max(1.0) };
            let (element, beside) = (SIXTEEN, f64::INFINITY);
            Attended {
                batch,
                queries,
                keys,
                heads,
                kv_heads,
                head_dim,
                element,
                kv_element,
                beside,
            }
        };
        let all: SmallVec<[Attended; 2]> = step.groups().iter().map(over).collect();
        let queries: f64 = all.iter().map(Attended::query_bytes).sum();
        let cached: f64 = all.iter().map(Attended::kv_bytes).sum();
        let per_byte = ((cost.bytes - queries) / cached).max(0.0);
        for mut over in all {
            over.kv_element *= per_byte;
            let few = over.queries <= FEW;
            let known = binding.silicon.attention(few, kv_element)?;
            let shape = if few {
                let apart = binding.silicon.apart.as_ref().map(|tuned| tuned.values[0]);
                Shape::Decode(Decode { over, apart })
            } else {
                over.beside = 0.0;
                let (peak, causal) = (self.engine_peak(i), seen < ALL);
                let whole = Prefill { over, peak, causal, share: 1.0, before: 0.0 };
                let flops = 4.0 * head_dim * heads * over.batch * over.queries * over.keys * seen;
                let share = if causal { (flops / whole.flops()).min(1.0) } else { 1.0 };
                Shape::Prefill(Prefill { share, ..whole })
            };
            visit(&Part::new(i, shape, known));
        }
        Some(())
    }

    fn exchange(
        &self,
        binding: &Binding<'_>,
        node: usize,
        (step, cost): (&Step, &KernelCost),
        visit: &mut Visit<'_>,
    ) -> Option<()> {
        let Pattern::Collective { exchange, ranks, .. } = self.plan.nodes[node].op.pattern(step)
        else {
            return None;
        };
        let time = self.exchanges.get(node)?.as_ref()?;
        if time.crosses || time.offered <= 0.0 {
            return None;
        }
        let (devices, bytes, link) = (ranks as f64, cost.exchanged, time.offered);
        let silicon = binding.silicon;
        let other = |carried| {
            Some((silicon.exchange(carried)?, Shape::Exchange(Exchange { devices, bytes, link })))
        };
        let (known, shape) = match exchange {
            op::Exchange::AllReduce => {
                (silicon.sum.as_ref()?, Shape::AllReduce(AllReduce { devices, bytes, link }))
            }
            op::Exchange::AllGather => other(Carried::Gathered)?,
            op::Exchange::ReduceScatter => other(Carried::Scattered)?,
            op::Exchange::AllToAll => other(Carried::Dealt)?,
            op::Exchange::Send | op::Exchange::Broadcast => return None,
        };
        visit(&Part::new(node, shape, known));
        Some(())
    }

    /// The peak of the engine that does the matrix work of a kernel in a step; of its first node without any.
    fn whole_peak(&self, kernel: &PlanKernel, step: &Step) -> f64 {
        let multiplies = |i: &usize| self.plan.nodes[*i].op.work(step).matrix > 0.0;
        self.engine_peak(kernel.nodes.clone().find(multiplies).unwrap_or(kernel.nodes.start))
    }
}
