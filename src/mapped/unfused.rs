//! Attention by kernels that write what the next one reads: scores, masked scores, probabilities.

use super::parameter::Parameter;
use super::{Chip, Mapped, Matmul, Operand, Prefill};

/// Attention of whole sequences whose scores pass through memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unfused {
    /// What is attended to.
    pub attention: Prefill,
    /// Passes over the scores beside those of the products and the softmax: 2 where a kernel masks them.
    pub passes: f64,
}

impl Unfused {
    /// Of a unit's matrix peak; of the DRAM's bandwidth; launches of all kernels together.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter::fraction("compute", 0.6, 1.1),
        Parameter::fraction("memory", 0.7, 1.0),
        Parameter::time("launch", 3e-5),
    ];

    /// `Q K^T`, mask and softmax, `P V`, one after the other.
    pub fn map(&self, chip: &Chip, p: &[f64]) -> Mapped {
        let [compute, memory, launch] = [p[0], p[1], p[2]];
        let (a, peak) = (&self.attention.over, self.attention.peak);
        let product = [compute, 1.0, memory, 1.0, 0.0];
        let cold = Operand { bytes: a.element, set: f64::INFINITY };
        let (groups, out) = (a.batch * a.heads, a.element);
        let scores =
            Matmul { groups, m: a.queries, n: a.keys, k: a.head_dim, a: cold, b: cold, out, peak };
        let values = Matmul { n: a.head_dim, k: a.keys, ..scores };
        let (first, last) = (scores.map(chip, &product), values.map(chip, &product));
        let square = groups * a.queries * a.keys * a.element;
        let between = (2.0 + self.passes) * square / (chip.dram * memory);
        Mapped {
            seconds: first.seconds + last.seconds + between + launch,
            dram: first.dram + last.dram + between,
            units: first.units + last.units,
            ..first
        }
    }
}
