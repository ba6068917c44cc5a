//! The arguments that say how devices share the work.

use super::case::positive;
use crate::graph::shard::Parallel;
use crate::workload::parse_degree;
use clap::Args;

/// Degrees of parallelism.
#[derive(Debug, Clone, Args)]
pub struct ParallelArgs {
    /// Devices that each layer is cut over (tensor parallelism)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = degree)]
    pub tp: Option<u64>,
    /// Groups of devices that the positions of a sequence are dealt to (context parallelism)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = degree)]
    pub cp: Option<u64>,
    /// Stages that the layers are cut into (pipeline parallelism)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = degree)]
    pub pp: Option<u64>,
    /// Groups of devices that experts are dealt to: of the TP devices, beyond those over the replicas of
    /// --dp, which send tokens to each other (expert parallelism)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = degree)]
    pub ep: Option<u64>,
    /// Replicas that the batch is cut over (data parallelism)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = degree)]
    pub dp: Option<u64>,
    /// Residual stream of the TP devices in shares of the tokens (sequence parallelism)
    #[arg(long)]
    pub sp: bool,
    /// Micro-batches that follow each other through the stages [default: as many as stages]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = positive)]
    pub micro_batches: Option<u64>,
}

impl ParallelArgs {
    /// The degrees as asked for.
    pub fn wanted(&self) -> Parallel {
        Parallel {
            tensor: self.tp.unwrap_or(1),
            context: self.cp.unwrap_or(1),
            pipeline: self.pp.unwrap_or(1),
            expert: self.ep.unwrap_or(1),
            data: self.dp.unwrap_or(1),
            sequence: self.sp,
            micro_batches: self.micro_batches.unwrap_or(0),
        }
    }
}

fn degree(text: &str) -> Result<u64, String> {
    parse_degree("the degree", text).map_err(|d| d.message)
}
