//! Kernels of a plan mapped onto units, caches and DRAM: their times in the place of the roofline's.
//!
//! A kernel is told by its nodes' patterns, never by its operators: products, attention, an all-reduce over the
//! scale-up link, or a stream of its bytes. Other exchanges, and kernels whose format was never measured on any
//! device, keep the roofline's time.

use super::bound::Resource;
use super::estimator::Estimator;
use super::kernel::KernelCost;
use crate::dtype::{Compute, Format};
use crate::mapped::calibration::{Interval, Tuned, Tuning, Wanted};
use crate::mapped::{AllReduce, Attended, Chip, Decode, Kind, Matmul, Operand, Prefill, Stream};
use crate::mapping::{PlanKernel, PlanNode};
use crate::op::{Exchange, Pattern};
use crate::provenance::Basis;
use crate::tensor::Step;
use std::collections::BTreeMap;

/// Most queries per sequence that kernels for single queries take: tokens that a verify step adds.
const FEW: f64 = 16.0;
/// The elementwise operators whose parameters every stream takes, the first that a stack was measured with.
const STREAMS: [&str; 2] = ["quant_bf16_to_fp8", "add_rmsnorm"];

/// A device with the calibrations that its kernels take under a stack.
#[derive(Debug, Clone)]
pub struct Silicon {
    /// Id of the device.
    pub hardware: String,
    /// The software stack; any where it is empty.
    pub stack: String,
    /// Its figures.
    pub chip: Chip,
    /// All calibrations.
    pub tuning: Tuning,
}

/// Parameters of every kind and format that a plan uses.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    chip: Chip,
    known: BTreeMap<(Kind, &'static str), Tuned>,
}

/// A time with the factors of it that 80 % of measurements lie between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Timed {
    /// Seconds.
    pub(super) seconds: f64,
    /// Low and high seconds.
    pub(super) range: [f64; 2],
}

impl Timed {
    /// A time that nothing is known of beside itself.
    pub(super) const fn certain(seconds: f64) -> Self {
        Self { seconds, range: [seconds, seconds] }
    }

    fn within(seconds: f64, interval: Interval) -> Self {
        Self { seconds, range: [interval.low * seconds, interval.high * seconds] }
    }

    pub(super) fn add(self, o: Self, times: f64) -> Self {
        Self {
            seconds: self.seconds + times * o.seconds,
            range: [self.range[0] + times * o.range[0], self.range[1] + times * o.range[1]],
        }
    }
}

/// Formats of products by what multiplies them and the bytes of a weight.
fn product_format(compute: Compute, weight: f64) -> &'static str {
    match compute {
        Compute::Exact(Format::Fp8E4m3 | Format::Fp8E5m2) => "fp8",
        Compute::Exact(Format::Int8) => "w8a8_int8",
        Compute::Exact(Format::Fp4E2m1) => "nvfp4",
        Compute::Exact(Format::Fp32 | Format::Tf32) => "fp32",
        _ if weight > 1.5 => "bf16",
        _ if weight > 0.9 => "w8a16",
        _ => "w4a16",
    }
}

fn attention_format(kv: f64) -> &'static str {
    if kv > 1.5 { "bf16" } else { "bf16+kv-fp8" }
}

impl Parameters {
    pub(super) fn new(silicon: &Silicon) -> Self {
        let formats = ["bf16", "fp8", "w8a8_int8", "nvfp4", "fp32", "w8a16", "w4a16"];
        let attention = ["bf16", "bf16+kv-fp8"];
        let mut wanted: Vec<(Kind, &'static str)> = formats.map(|f| (Kind::Matmul, f)).to_vec();
        wanted.extend(attention.map(|f| (Kind::Prefill, f)));
        wanted.extend(attention.map(|f| (Kind::Decode, f)));
        wanted.extend(STREAMS.map(|f| (Kind::Stream, f)));
        wanted.extend([(Kind::AllReduce, "custom"), (Kind::AllReduce, "nccl")]);
        let tuned = |(kind, format): (Kind, &'static str)| {
            let Silicon { hardware, stack, chip, tuning } = silicon;
            let tuned = tuning.get(chip, Wanted { hardware, stack, kind, format });
            (tuned.basis != Basis::Assumed).then_some(((kind, format), tuned))
        };
        let known = wanted.into_iter().filter_map(tuned).collect();
        Self { chip: silicon.chip.clone(), known }
    }

    fn get(&self, kind: Kind, formats: &[&'static str]) -> Option<&Tuned> {
        let own = formats.iter().filter_map(|f| self.known.get(&(kind, *f)));
        own.min_by_key(|t| t.basis)
    }

    /// Named fallbacks of the device's figures.
    pub(super) fn fallbacks(&self) -> &[String] {
        &self.chip.fallbacks
    }

    /// Where the parameters of the main kernels come from, each once.
    pub(super) fn origins(&self) -> Vec<String> {
        let used = [Kind::Matmul, Kind::Prefill, Kind::Decode];
        let mut origins: Vec<String> = vec![];
        for tuned in used.iter().filter_map(|k| self.get(*k, &["bf16"])) {
            let origin = format!("calibration: {}", tuned.origin);
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        origins
    }

    /// The weakest basis among what is known.
    pub(super) fn basis(&self) -> Basis {
        let used = [Kind::Matmul, Kind::Prefill, Kind::Decode];
        let bases = used.iter().filter_map(|k| self.get(*k, &["bf16"])).map(|t| t.basis);
        bases.max().unwrap_or(Basis::Assumed)
    }
}

impl Estimator<'_> {
    /// The time of one launch: of the mapped kernel, else the roofline's.
    pub(super) fn timed(&self, kernel: &PlanKernel, step: &Step, cost: &KernelCost) -> Timed {
        let roofline = Timed::certain(self.time(cost));
        let Some(parameters) = &self.parameters else { return roofline };
        let nodes = &self.plan.nodes[kernel.nodes.clone()];
        let patterns: Vec<(usize, Pattern)> =
            kernel.nodes.clone().map(|i| (i, self.plan.nodes[i].op.pattern(step))).collect();
        let exchange = patterns.iter().find(|(_, p)| matches!(p, Pattern::Collective { .. }));
        let attends = patterns
            .iter()
            .find(|(_, p)| matches!(p, Pattern::Attention { head_dim, .. } if *head_dim > 0.0));
        let found = if let Some((i, pattern)) = exchange {
            self.all_reduce(parameters, (*i, pattern), cost)
        } else if let (Some((i, pattern)), true) = (attends, nodes.len() > 1) {
            self.attention(parameters, (*i, pattern), step)
        } else if patterns.iter().any(|(_, p)| matches!(p, Pattern::Contraction { .. })) {
            self.products(parameters, &patterns)
        } else {
            parameters.get(Kind::Stream, &STREAMS).map(|tuned| {
                let stream = Stream { bytes: cost.bytes, set: cost.bytes };
                let mapped = stream.map(&parameters.chip, &tuned.values);
                Timed::within(mapped.seconds, tuned.interval)
            })
        };
        // What comes over the host link binds mapped kernels too.
        let other = cost.times[Resource::Host as usize];
        match found {
            Some(timed) if timed.seconds >= other => timed,
            Some(_) => Timed::certain(other + self.launch),
            None => roofline,
        }
    }

    /// Products of one kernel: those of the same operand side by side, others one after the other.
    fn products(&self, parameters: &Parameters, patterns: &[(usize, Pattern)]) -> Option<Timed> {
        let mut all: Vec<(Matmul, &PlanNode)> = vec![];
        for (i, pattern) in patterns {
            let Pattern::Contraction { b, m, n, k } = *pattern else { continue };
            let node = &self.plan.nodes[*i];
            let or = |bytes: f64| if bytes > 0.0 { bytes } else { 2.0 };
            let (a, w) = (or(node.read_bytes[0]), or(node.read_bytes[1]));
            if let Some((earlier, _)) =
                all.iter_mut().find(|(e, _)| (e.groups, e.m, e.k, e.b.bytes) == (b, m, k, w))
            {
                earlier.n += n;
                continue;
            }
            let operand = |bytes, set| Operand { bytes, set };
            let peak = self.engine_peak(node)?;
            let (a, w) = (operand(a, b * m * (k * a + 2.0 * n)), operand(w, f64::INFINITY));
            all.push((Matmul { groups: b, m, n, k, a, b: w, out: 2.0, peak }, node));
        }
        let mut sum = Timed::certain(0.0);
        for (product, node) in all {
            let format = product_format(node.compute, product.b.bytes);
            let tuned = parameters.get(Kind::Matmul, &[format])?;
            let mapped = product.map(&parameters.chip, &tuned.values);
            sum = sum.add(Timed::within(mapped.seconds, tuned.interval), 1.0);
        }
        Some(sum)
    }

    fn attention(
        &self,
        parameters: &Parameters,
        (i, pattern): (usize, &Pattern),
        step: &Step,
    ) -> Option<Timed> {
        let Pattern::Attention { heads, kv_heads, head_dim, pairs } = *pattern else { return None };
        let node = &self.plan.nodes[i];
        let kv_element = if node.read_bytes[1] > 0.0 { node.read_bytes[1] } else { 2.0 };
        let format = attention_format(kv_element);
        let peak = self.engine_peak(node)?;
        let total: f64 =
            step.groups().iter().map(|g| (g.count * g.new * (g.past + g.new)) as f64).sum();
        // What masks and encoders let a query see, of all keys.
        let seen = pairs / total;
        let mut sum = Timed::certain(0.0);
        for group in step.groups() {
            let [batch, queries, past] = [group.count, group.new, group.past].map(|n| n as f64);
            let keys = past + queries;
            let over = Attended {
                batch,
                queries,
                keys,
                heads,
                kv_heads,
                head_dim,
                element: 2.0,
                kv_element,
                beside: 0.0,
            };
            let timed = if queries <= FEW {
                let tuned = parameters.get(Kind::Decode, &[format, "bf16"])?;
                let keys = (seen * keys).max(1.0);
                let kernel = Decode { over: Attended { keys, beside: f64::INFINITY, ..over } };
                Timed::within(kernel.map(&parameters.chip, &tuned.values).seconds, tuned.interval)
            } else {
                let tuned = parameters.get(Kind::Prefill, &[format, "bf16"])?;
                let all = Prefill { over, peak, causal: seen < 0.99, before: 0.0 };
                let mapped = all.map(&parameters.chip, &tuned.values);
                // A window leaves a part of what causal attention sees.
                let flops = 4.0 * head_dim * heads * batch * queries * keys * seen;
                let (part, launch) = ((flops / all.flops()).min(1.0), tuned.values[4]);
                Timed::within((mapped.seconds - launch) * part + launch, tuned.interval)
            };
            sum = sum.add(timed, 1.0);
        }
        Some(sum)
    }

    fn all_reduce(
        &self,
        parameters: &Parameters,
        (i, pattern): (usize, &Pattern),
        cost: &KernelCost,
    ) -> Option<Timed> {
        let Pattern::Collective { exchange: Exchange::AllReduce, ranks, .. } = *pattern else {
            return None;
        };
        let crosses = self.exchanges.get(i)?.as_ref()?.crosses;
        if crosses || parameters.chip.link <= 0.0 {
            return None;
        }
        let tuned = parameters.get(Kind::AllReduce, &["custom", "nccl"])?;
        let kernel = AllReduce { devices: ranks as f64, bytes: cost.exchanged };
        Some(Timed::within(kernel.map(&parameters.chip, &tuned.values).seconds, tuned.interval))
    }
}
