//! The charts of one case: its roofline and its breakdown, from an itemised cost report.

use super::breakdown::{BreakdownChart, BreakdownPart, PhaseBreakdown};
use super::estimate_json::EstimateContext;
use super::roofline::{ComputeRoof, Emphasis, MemoryRoof, RooflineChart, RooflinePoint};
use super::step::Limit;
use crate::cost::{Bound, CostReport, Estimator, OperatorCost, PhaseCost, Request, Resource};
use crate::hardware::{Fidelity, Machine};
use crate::units::{Bytes, Flops};

/// A case with everything that its charts name.
#[derive(Debug)]
pub struct CaseCharts<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// Name of the device.
    pub device: &'a str,
    /// The device.
    pub machine: &'a Machine,
    /// The plan on the device.
    pub estimator: &'a Estimator<'a>,
    /// The itemised costs.
    pub report: &'a CostReport,
    /// What stands beside them.
    pub context: &'a EstimateContext<'a>,
}

impl CaseCharts<'_> {
    /// The roofline with every kernel of every phase as a point.
    pub fn roofline(&self) -> RooflineChart {
        RooflineChart {
            title: format!("{} on {}", self.model, self.device),
            subtitle: self.subtitle(),
            compute_roofs: self.compute_roofs(),
            memory_roofs: self.memory_roofs(),
            points: self.report.phases.iter().flat_map(|p| self.points(p)).collect(),
            notes: self.notes(),
        }
    }

    /// The time of each phase by kernel.
    pub fn breakdown(&self) -> BreakdownChart {
        let phases = self.report.phases.iter().map(|phase| PhaseBreakdown {
            phase: phase.phase,
            parts: phase.operators.iter().map(|o| self.part(o)).collect(),
            range: self.is_mapped().then(|| {
                let edge = |i: usize| phase.operators.iter().map(|o| o.range[i]).sum();
                [edge(0), edge(1)]
            }),
        });
        BreakdownChart {
            title: format!("Where the time goes: {} on {}", self.model, self.device),
            subtitle: self.subtitle(),
            phases: phases.collect(),
            notes: vec![],
        }
    }

    fn subtitle(&self) -> String {
        let request = describe(&self.report.request);
        let fidelity = match self.machine.fidelity {
            Fidelity::Ideal => "ideal (efficiencies 1, overheads 0)",
            Fidelity::Realistic if self.is_mapped() => "mapped kernels",
            Fidelity::Realistic => "roofline",
        };
        format!("{request}, {}, {fidelity}", self.context.quant)
    }

    fn compute_roofs(&self) -> Vec<ComputeRoof> {
        let mut roofs: Vec<ComputeRoof> = vec![];
        let mut add = |name: String, rate: crate::units::FlopsPerSecond, emphasis| {
            let label = format!("{name} {rate}");
            if roofs.iter().all(|r| r.label != label) {
                roofs.push(ComputeRoof { label, rate, emphasis });
            }
        };
        for (i, engine) in self.estimator.engines().iter().enumerate() {
            let emphasis = if i == 0 { Emphasis::Main } else { Emphasis::Minor };
            add(format!("{} {}", engine.format, engine.class.name()), engine.rate.peak, emphasis);
        }
        if let (Some(vector), Some(format)) = (self.machine.vector, self.machine.vector_format) {
            add(format!("{format} vector"), vector.peak, Emphasis::Minor);
        }
        roofs
    }

    /// DRAM first, then the levels inside it.
    fn memory_roofs(&self) -> Vec<MemoryRoof> {
        let outward = self.machine.levels.iter().rev();
        outward
            .filter_map(|level| {
                let bandwidth = level.bandwidth?;
                Some(MemoryRoof { label: format!("{} {bandwidth}", level.name), bandwidth })
            })
            .collect()
    }

    fn points<'a>(&'a self, phase: &'a PhaseCost) -> impl Iterator<Item = RooflinePoint> + 'a {
        let visible = phase.operators.iter().filter(|o| o.bytes > Bytes::ZERO);
        visible.filter_map(move |operator| {
            Some(RooflinePoint {
                label: operator.name.clone(),
                phase: phase.phase,
                intensity: operator.intensity()?,
                attained: operator.flops() / operator.time,
                share: operator.share,
                bound: operator.bound_name(self.context.slowest_level).to_owned(),
                detail: self.detail(operator),
            })
        })
    }

    fn part(&self, operator: &OperatorCost) -> BreakdownPart {
        BreakdownPart {
            operator: operator.name.clone(),
            time: operator.time,
            limit: match operator.bound {
                Bound::Resource(Resource::Memory) => Limit::Memory,
                Bound::Resource(Resource::Link | Resource::Host) => Limit::Link,
                Bound::Resource(_) => Limit::Compute,
                Bound::Overhead => Limit::Overhead,
            },
            bound: operator.bound_name(self.context.slowest_level).to_owned(),
            detail: self.detail(operator),
        }
    }

    fn detail(&self, operator: &OperatorCost) -> String {
        let matrix: Flops = operator.operations[0];
        format!(
            "{} launches, {} matrix of {} operations, {} off chip, {}",
            operator.count,
            matrix,
            operator.flops(),
            operator.bytes,
            operator.time,
        )
    }

    fn is_mapped(&self) -> bool {
        self.report.summary.ranges.is_some()
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![];
        let level = &self.machine.levels[self.estimator.slowest_index()];
        if self.is_mapped() {
            let (basis, because) =
                (self.context.provenance.basis, &self.context.provenance.because);
            notes.push(format!(
                "Roofs are peaks; times are of kernels mapped onto the device ({basis}; {}).",
                because.join("; ")
            ));
        } else if self.machine.fidelity == Fidelity::Realistic {
            notes.push(format!(
                "Roofs are peaks; times use efficiencies: matrix {:.2}, {} {:.2}, and {} per launch.",
                self.estimator.engines()[0].rate.efficiency.get(),
                level.name,
                level.efficiency.get(),
                self.machine.kernel_launch.value,
            ));
        }
        if !self.machine.not_modelled.is_empty() {
            notes.push(format!("Not modelled: {}.", self.machine.not_modelled.join("; ")));
        }
        if !self.context.fallbacks.is_empty() {
            notes.push(format!("Fallbacks: {}.", self.context.fallbacks.join("; ")));
        }
        notes
    }
}

/// A request in words.
pub fn describe(request: &Request) -> String {
    match *request {
        Request::Generation { batch, prompt, output } => {
            format!("batch {batch}, {prompt} prompt + {output} output tokens")
        }
        Request::Prefill { batch, context } => {
            format!("prefill of batch {batch} x {context} tokens")
        }
        Request::Decode { batch, context } => {
            format!("decode step of batch {batch} at context {context}")
        }
    }
}
