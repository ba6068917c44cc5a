//! Nodes and regions.

use crate::op::Op;
use crate::op::split::{Cut, Layout, Rank};
use crate::tensor::TensorType;
use petgraph::graph::NodeIndex;

/// A node of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) NodeIndex);

impl NodeId {
    /// Place in construction order.
    pub fn index(self) -> usize {
        self.0.index()
    }
}

/// A region of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub(super) usize);

impl RegionId {
    /// Place in order of execution.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// Where a value comes from that no operator computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Given with the step: token ids, uniform numbers.
    Input,
    /// A trained parameter, by name; one copy per iteration of its region.
    Weight,
    /// The KV cache as the step before left it; one per iteration of its region.
    Cache,
}

/// The piece of a given tensor that one rank holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How the tensor lies over the ranks.
    pub layout: Layout,
    /// The rank.
    pub rank: Rank,
    /// Extent of the whole tensor along the axis that is cut: its rows or its columns.
    pub whole: u64,
}

impl Share {
    /// Which piece the rank holds, from 0.
    pub const fn piece(&self) -> u64 {
        match self.layout {
            Layout::Columns { parts } | Layout::Rows { parts } => {
                self.rank.index * parts / self.rank.of
            }
            Layout::Experts { cut: Cut::First, parts, .. } => self.rank.index / parts,
            Layout::Experts { .. } => self.rank.index,
            Layout::Whole | Layout::Tokens | Layout::Partial | Layout::First => 0,
        }
    }

    /// The piece of a block of experts that a replica holds, as one of the ranks of all replicas.
    pub(super) fn of_block(self, block: Self) -> Self {
        let (
            Layout::Experts { groups: blocks, experts, .. },
            Layout::Experts { cut, groups, parts, .. },
        ) = (block.layout, self.layout)
        else {
            return self;
        };
        let layout = Layout::Experts { experts, groups: blocks * groups, cut, parts };
        let index = block.rank.index * self.rank.of + self.rank.index;
        let rank = Rank { index, of: block.rank.of * self.rank.of };
        let whole = if cut == Cut::Columns { self.whole } else { block.whole };
        Self { layout, rank, whole }
    }

    /// How many ranks hold the same piece.
    pub const fn holders(&self) -> u64 {
        match self.layout {
            Layout::Columns { parts } | Layout::Rows { parts } => self.rank.of / parts,
            Layout::Experts { cut: Cut::First, parts, .. } => parts,
            Layout::Experts { .. } => 1,
            Layout::Whole | Layout::Tokens | Layout::Partial | Layout::First => self.rank.of,
        }
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A given value.
    Source(Source),
    /// The value that a region carries from iteration to iteration.
    Carry,
    /// An operator applied to its operands.
    Apply(Op),
}

/// A value: its name, what makes it, its type, and the kernel that computes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name inside its region, for instance `attn.q` or `attn.q.weight`.
    pub name: String,
    /// What makes it.
    pub kind: Kind,
    /// Shape and role; on one rank, where the graph is one of a group's.
    pub ty: TensorType,
    /// Which piece of a given tensor this rank holds; `None` for all of it.
    pub share: Option<Share>,
    /// Region.
    pub region: RegionId,
    /// Which of the region's layers, when a body holds several (local and global attention).
    pub layer: u64,
    /// The fusion that put it into a kernel with others: the kernel's name and first node.
    pub fused: Option<(String, NodeId)>,
}

/// How a repeated region hands a value on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carry {
    /// The value inside the body: at first the outside value, then `back` of the iteration before.
    pub entry: NodeId,
    /// The body's result.
    pub back: NodeId,
}

/// A stretch of the graph that runs `count` times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Name.
    pub name: String,
    /// Iterations.
    pub count: u64,
    /// Layers that one iteration holds.
    pub layers: u64,
    /// Number of the first layer, from 0.
    pub first_layer: u64,
    /// The value handed from iteration to iteration; `None` outside repeated regions.
    pub carry: Option<Carry>,
}

impl Region {
    /// Whether layers are stacked in it: it hands on another value than it was entered with.
    pub fn is_stack(&self) -> bool {
        self.carry.is_some_and(|carry| carry.back != carry.entry)
    }
}
