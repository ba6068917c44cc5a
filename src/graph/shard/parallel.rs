//! How many devices share the work of a model, and in which ways.

use super::{Ways, gcd};
use crate::op::MeshAxis;
use std::fmt;

/// Degrees of parallelism. Ranks of a tensor-parallel group are neighbours, then the groups that share
/// the positions of a sequence, then the stages of a pipeline, then the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Parallel {
    /// Ranks that a layer is cut over (TP).
    pub tensor: u64,
    /// Tensor-parallel groups that the positions of a sequence are dealt to (CP).
    pub context: u64,
    /// Stages that the layers are cut into (PP).
    pub pipeline: u64,
    /// Replicas that the batch is cut over (DP).
    pub data: u64,
    /// Groups of ranks that the experts are dealt to (EP); the ranks of a group cut each of its
    /// experts. As many as divide the ranks of a tensor-parallel group lie in one, the rest over
    /// replicas: see [`Self::ways`] and [`Self::expert_replicas`].
    pub expert: u64,
    /// Whether the residual stream between a group's cut layers lies in shares of the tokens (SP).
    pub sequence: bool,
    /// Micro-batches that follow each other through the stages; 0 for as many as there are stages.
    pub micro_batches: u64,
}

impl Parallel {
    /// One device.
    pub const ONE: Self = Self {
        tensor: 1,
        context: 1,
        pipeline: 1,
        data: 1,
        expert: 1,
        sequence: false,
        micro_batches: 0,
    };

    /// Every way to spread over exactly so many devices, experts dealt or not.
    pub fn spread(devices: u64, has_experts: bool) -> Vec<Self> {
        let divisors = |n: u64| (1..=n).filter(move |d| n.is_multiple_of(*d));
        let mut all = vec![];
        for tensor in divisors(devices) {
            for pipeline in divisors(devices / tensor) {
                let data = devices / tensor / pipeline;
                let mut dealt: Vec<u64> =
                    divisors(tensor).filter(|e| *e == 1 || has_experts).collect();
                if has_experts {
                    dealt.extend(divisors(data).skip(1).map(|replicas| tensor * replicas));
                }
                for expert in dealt {
                    all.push(Self { tensor, pipeline, data, expert, ..Self::ONE });
                }
            }
        }
        all
    }

    /// How the ranks of a tensor-parallel group cut a layer.
    pub const fn ways(&self) -> Ways {
        Ways { expert_groups: gcd(self.expert, self.tensor), sequence: self.sequence }
    }

    /// Replicas that share one set of experts, neighbours among the replicas; they run in step (A86).
    pub const fn expert_replicas(&self) -> u64 {
        self.expert / gcd(self.expert, self.tensor)
    }

    /// Devices between one and its neighbour along an axis.
    pub const fn stride(&self, along: MeshAxis) -> u64 {
        match along {
            MeshAxis::Tensor => 1,
            MeshAxis::Context => self.tensor,
            MeshAxis::Pipeline => self.tensor * self.context,
            MeshAxis::Data => self.tensor * self.context * self.pipeline,
        }
    }

    /// Devices in all.
    pub const fn devices(&self) -> u64 {
        self.tensor * self.context * self.pipeline * self.data
    }

    /// Sequences of a replica.
    pub const fn replica_batch(&self, batch: u64) -> u64 {
        batch.div_ceil(self.data)
    }

    /// Micro-batches of a replica: none is empty.
    pub fn micro_batches(&self, batch: u64) -> u64 {
        let wanted = if self.micro_batches == 0 { self.pipeline } else { self.micro_batches };
        wanted.min(self.replica_batch(batch)).max(1)
    }

    /// Sequences of a micro-batch, the largest.
    pub fn micro_batch(&self, batch: u64) -> u64 {
        self.replica_batch(batch).div_ceil(self.micro_batches(batch))
    }

    /// Time until `micro_batches` have passed stages of these times, one behind the other:
    /// `sum t + (m - 1) max t`. With equal stages the share in which a stage waits is
    /// `(p - 1) / (m + p - 1)` (Huang et al., GPipe, arXiv 1811.06965).
    pub fn flow(stages: &[f64], micro_batches: u64) -> f64 {
        let longest = stages.iter().copied().fold(0.0, f64::max);
        stages.iter().sum::<f64>() + (micro_batches - 1) as f64 * longest
    }

    /// Time between two tokens of a sequence while `micro_batches` go round the stages:
    /// `max(sum t, m max t)`. A token is an input of the first stage once the last has made it.
    pub fn round(stages: &[f64], micro_batches: u64) -> f64 {
        let longest = stages.iter().copied().fold(0.0, f64::max);
        stages.iter().sum::<f64>().max(micro_batches as f64 * longest)
    }
}

impl Default for Parallel {
    fn default() -> Self {
        Self::ONE
    }
}

/// `none`, or the degrees above 1: `tp8-pp2-mb4`.
impl fmt::Display for Parallel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let degrees = [
            ("tp", self.tensor),
            ("ep", self.expert),
            ("cp", self.context),
            ("pp", self.pipeline),
            ("mb", self.micro_batches.max(1)),
            ("dp", self.data),
        ];
        let mut first = true;
        for (name, degree) in degrees.into_iter().filter(|(_, d)| *d > 1) {
            write!(f, "{}{name}{degree}", if first { "" } else { "-" })?;
            first = false;
        }
        match (first, self.sequence) {
            (true, _) => f.write_str("none"),
            (false, true) => f.write_str("-sp"),
            (false, false) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_stages_wait_the_published_share(p in 1..16_u64, m in 1..64_u64, t in 0.1..9.0_f64) {
            let stages = vec![t; p as usize];
            let whole = Parallel::flow(&stages, m);
            let busy = m as f64 * t;
            let bubble = 1.0 - busy / whole;
            let published = (p - 1) as f64 / (m + p - 1) as f64;
            prop_assert!((bubble - published).abs() < 1e-12);
            prop_assert!(Parallel::round(&stages, m) >= busy);
            prop_assert!((Parallel::round(&stages, p) - p as f64 * t).abs() < 1e-9);
        }

        #[test]
        fn micro_batches_cover_the_batch_and_none_is_empty(
            batch in 1..500_u64, data in 1..9_u64, pipeline in 1..9_u64, micro_batches in 0..9_u64,
        ) {
            let parallel = Parallel { data, pipeline, micro_batches, ..Parallel::ONE };
            let (m, each) = (parallel.micro_batches(batch), parallel.micro_batch(batch));
            prop_assert!(each >= 1 && m * each >= parallel.replica_batch(batch));
            prop_assert!(parallel.replica_batch(batch) * data >= batch);
        }
    }

    #[test]
    fn plans_use_every_device() {
        let dense = Parallel::spread(8, false);
        assert_eq!(dense.len(), 10);
        assert!(dense.iter().all(|p| p.devices() == 8 && p.expert == 1));
        let experts = Parallel::spread(8, true);
        assert!(experts.iter().any(|p| (p.tensor, p.expert) == (8, 8)));
        assert!(experts.iter().any(|p| (p.data, p.expert_replicas()) == (8, 4)));
        assert!(experts.iter().all(|p| p.data.is_multiple_of(p.expert_replicas())));
        assert_eq!(Parallel::spread(7, false).len(), 3);
    }

    #[test]
    fn the_name_tells_what_differs_from_one_device() {
        assert_eq!(Parallel::ONE.to_string(), "none");
        let (sequence, micro_batches) = (true, 4);
        let all = Parallel {
            tensor: 8,
            expert: 4,
            pipeline: 2,
            data: 3,
            sequence,
            micro_batches,
            ..Parallel::ONE
        };
        assert_eq!(all.to_string(), "tp8-ep4-pp2-mb4-dp3-sp");
        assert_eq!(all.devices(), 48);
        for (tensor, expert, dealt) in
            [(8, 4, (4, 1)), (8, 16, (8, 2)), (1, 4, (1, 4)), (2, 3, (1, 3))]
        {
            let parallel = Parallel { tensor, expert, ..Parallel::ONE };
            assert_eq!((parallel.ways().expert_groups, parallel.expert_replicas()), dealt);
        }
    }
}
