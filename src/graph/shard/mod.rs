//! A graph cut for several devices: what each of them runs, with the exchanges between them.
//!
//! [`tensor_parallel`] gives the graph of one rank of a group, [`pipeline`] that of one stage, with
//! [`broadcast`] where all stages read what the last one makes,
//! [`expert_parallel`] that of one of several replicas that share their experts, [`context_parallel`] that of
//! one of several ranks that share the positions of a sequence. Each is a
//! rewrite: graph in, graph out,
//! well-typed by construction, and the executor holds it to the values of the graph that it came
//! from.

mod context_parallel;
mod expert_parallel;
mod layouts;
mod parallel;
mod pipeline;
mod tensor_parallel;

pub use context_parallel::context_parallel;
pub use expert_parallel::expert_parallel;
pub use parallel::Parallel;
pub use pipeline::{broadcast, pipeline};
pub use tensor_parallel::tensor_parallel;

use super::{Graph, GraphError, Kind, NodeId, Source};
use crate::op::split::{Place, Rank, SplitError};

/// A graph that cannot be cut so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// An operator that does not split.
    #[error("node `{node}`: {source}")]
    Split {
        /// The node.
        node: String,
        /// Why.
        source: SplitError,
    },
    /// Two readers that want a weight cut in different ways.
    #[error("node `{node}`: its readers want it cut in different ways")]
    Conflict {
        /// The weight.
        node: String,
    },
    /// A value that lies otherwise than its reader wants, with no exchange between the two.
    #[error("node `{node}`: no exchange brings its value to where it is read")]
    Exchange {
        /// The value.
        node: String,
    },
    /// More stages than layers.
    #[error("{layers} layers are fewer than {stages} pipeline stages")]
    Stages {
        /// Stages.
        stages: u64,
        /// Layers of the model.
        layers: u64,
    },
    /// Experts that do not go over the groups that they are to be dealt to.
    #[error("{experts} experts are not dealt to {groups} groups of devices")]
    Experts {
        /// Experts of a layer.
        experts: u64,
        /// Groups.
        groups: u64,
    },
    /// Attention whose keys are not dealt to ranks by position.
    #[error("node `{node}`: its keys are not dealt to devices by position")]
    Context {
        /// The node.
        node: String,
    },
    /// A wiring that does not type.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// How ranks cut a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// Groups of ranks that a replica's experts are dealt to; divides experts and ranks.
    pub expert_groups: u64,
    /// Whether the residual stream lies in shares of the tokens.
    pub sequence: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self { expert_groups: 1, sequence: false }
    }
}

impl Ways {
    /// Where a rule is asked.
    const fn place(self, rank: Rank, groups: Option<u64>) -> Place {
        let Self { expert_groups, sequence } = self;
        Place { rank, groups, expert_groups, sequence }
    }
}

/// Greatest common divisor.
const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Graph {
    /// Whether a node is a weight or a cache, which lies as its reader wants.
    fn is_placed_by_reader(&self, id: NodeId) -> bool {
        matches!(self.node(id).kind, Kind::Source(Source::Weight | Source::Cache))
    }
}
