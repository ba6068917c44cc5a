//! Counts what each node of a run computes.

use super::kernels::{Applied, Kernels};
use crate::op::Target;
use crate::op::meter::{Counts, Metered, metered};
use crate::tensor::Step;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A step with what its nodes computed, by name, over all layers.
#[derive(Debug, Clone, PartialEq)]
pub struct MeteredStep {
    /// The step.
    pub step: Step,
    /// Operations of the nodes.
    pub counts: BTreeMap<String, Counts>,
}

/// Kernels that run every node in its operator's defining form over the counting scalar.
#[derive(Debug, Default)]
pub struct Metering {
    /// One entry a step, in order.
    steps: RefCell<Vec<MeteredStep>>,
}

impl Metering {
    /// The steps that were run, in order; none are left behind.
    pub fn take(&self) -> Vec<MeteredStep> {
        self.steps.take()
    }
}

impl Kernels<Metered> for Metering {
    fn apply(&self, applied: &Applied<'_, Metered>, out: &mut Target<'_, Metered>) -> bool {
        let ((), counted) = metered(|| applied.op.eval(applied.step, applied.operands, out));
        let mut steps = self.steps.borrow_mut();
        // No two steps of a run are equal: each lengthens the past.
        if steps.last().is_none_or(|last| last.step != *applied.step) {
            steps.push(MeteredStep { step: applied.step.clone(), counts: BTreeMap::new() });
        }
        if let Some(last) = steps.last_mut() {
            let name = applied.graph.node(applied.id).name.clone();
            *last.counts.entry(name).or_default() += counted;
        }
        true
    }
}
