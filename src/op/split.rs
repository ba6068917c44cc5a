//! How an operator runs on several devices at once: what each rank of a group computes.
//!
//! A rule says, from how its operands lie over the ranks, which operator a rank runs, how it wants
//! its operands and how its result lies. The rewrite in `graph::shard` walks a graph with these
//! rules and puts a collective wherever a value lies otherwise than its reader wants.

use super::{Choices, Held, Op};

/// One of the ranks of a group that runs a graph together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// Which, from 0.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

/// How a tensor lies over the ranks of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// Every rank holds all of it.
    Whole,
    /// Columns in `parts` equal pieces, in order of the ranks. Where `parts` is below the number
    /// of ranks, neighbours hold the same piece.
    Columns {
        /// Number of pieces; divides the number of ranks.
        parts: u64,
    },
    /// Rows in `parts` equal pieces, in order of the ranks. Weights only.
    Rows {
        /// Number of pieces; divides the number of ranks.
        parts: u64,
    },
    /// The experts dealt to `groups` groups of ranks in blocks, each expert cut over the ranks of its
    /// group. A rank holds of routed rows those of its own experts.
    Experts {
        /// Experts (E).
        experts: u64,
        /// Groups; divides the experts and the number of ranks.
        groups: u64,
        /// What each rank of a group holds of an expert.
        cut: Cut,
        /// Ranks of a group.
        parts: u64,
    },
    /// Rows in equal shares of the tokens, in order of the ranks. Activations only.
    Tokens,
    /// Every rank holds a summand. Activations only.
    Partial,
    /// Every rank holds all of it, zeros but for rank 0: a summand that counts once. Weights only.
    First,
}

/// What the ranks of a group of experts hold of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    /// Pieces of its rows.
    Rows,
    /// Pieces of its columns.
    Columns,
    /// The first rank all of it, the others zeros: a summand that counts once.
    First,
}

impl Layout {
    /// Columns in pieces; one piece is the whole.
    pub const fn columns(parts: u64) -> Self {
        if parts == 1 { Self::Whole } else { Self::Columns { parts } }
    }

    /// Rows in pieces; one piece is the whole.
    pub const fn rows(parts: u64) -> Self {
        if parts == 1 { Self::Whole } else { Self::Rows { parts } }
    }

    /// Pieces of the columns.
    pub const fn column_parts(self) -> u64 {
        match self {
            Self::Columns { parts } | Self::Experts { cut: Cut::Columns, parts, .. } => parts,
            _ => 1,
        }
    }
}

/// Where a rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The rank.
    pub rank: Rank,
    /// Column groups of the result that its readers cannot take apart, heads for instance; `None`
    /// where any column stands alone.
    pub groups: Option<u64>,
    /// Groups of ranks that experts are dealt to; divides the ranks.
    pub expert_groups: u64,
    /// Whether sums of ranks may lie as shares of the tokens (Korthikanti et al., arXiv 2205.05198).
    pub sequence: bool,
}

/// What a rank computes of an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// The operator that the rank runs.
    pub op: Op,
    /// How it wants each operand.
    pub operands: Vec<Layout>,
    /// How the result lies.
    pub result: Layout,
}

impl Place {
    /// Whether a value can lie as a share of the tokens: it does, or it is a sum of ranks.
    pub fn shares(&self, found: Found) -> bool {
        self.sequence && matches!(found, Some(Layout::Tokens | Layout::Partial))
    }

    /// Ranks that share a group of experts.
    pub const fn ranks_of_group(&self) -> u64 {
        self.rank.of / self.expert_groups
    }

    /// The experts that the rank holds of those dealt to its group.
    pub const fn held(&self, all: Held) -> Held {
        let count = all.count / self.expert_groups;
        let group = self.rank.index / self.ranks_of_group();
        Held { first: all.first + group * count, count, of: all.of }
    }
}

/// A group that an operator cannot be split over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Heads that neither divide nor are divided.
    #[error("{heads} heads do not split over {ranks} devices")]
    Heads {
        /// Indivisible groups of columns.
        heads: u64,
        /// Ranks of the group.
        ranks: u64,
    },
    /// More ranks than query heads.
    #[error("{heads} query heads are fewer than {ranks} devices")]
    QueryHeads {
        /// Query heads.
        heads: u64,
        /// Ranks of the group.
        ranks: u64,
    },
}

impl Split {
    /// Every rank computes the same from whole operands: right for any operator.
    pub fn whole(op: Op, operands: usize) -> Self {
        Self { op, operands: vec![Layout::Whole; operands], result: Layout::Whole }
    }

    /// An operator whose activations all lie alike, as does its result.
    pub fn alike(op: impl Into<Op>, operands: usize, layout: Layout) -> Self {
        Self { op: op.into(), operands: vec![layout; operands], result: layout }
    }
}

impl Split {
    /// An operator on rows that lie alike, as does its result, with further operands that are whole.
    pub fn rows(op: impl Into<Op>, (rows, all): (usize, usize), layout: Layout) -> Self {
        let mut operands = vec![layout; rows];
        operands.resize(all, Layout::Whole);
        Self { op: op.into(), operands, result: layout }
    }
}

/// The layout of an operator on each element of its activations, and the choices that it computes.
pub(super) fn elementwise(
    place: Place,
    activations: &[Found],
    choices: Option<&Choices>,
) -> (Layout, Option<Choices>) {
    let layout = common_columns(activations);
    let dealt = matches!(layout, Layout::Experts { .. });
    let own = |c: &Choices| if dealt { c.dealt(place) } else { c.clone() };
    (layout, choices.map(own))
}

/// How an operand lies; a weight or a cache lies as its reader wants, which is `None`.
pub type Found = Option<Layout>;

/// Pieces into which `groups` go over the ranks: one per rank where the ranks divide them; a piece
/// per group, held several times, where they divide the ranks.
///
/// # Errors
/// Neither divides the other.
pub(super) const fn parts(groups: u64, ranks: u64) -> Result<u64, SplitError> {
    if groups.is_multiple_of(ranks) {
        Ok(ranks)
    } else if ranks.is_multiple_of(groups) {
        Ok(groups)
    } else {
        Err(SplitError::Heads { heads: groups, ranks })
    }
}

/// Extent of a piece: the last ones are padded where the pieces do not divide the whole (A46).
pub const fn share(extent: u64, parts: u64) -> u64 {
    extent.div_ceil(parts)
}

/// The layout that all activations of an operator share, if they do and it is a split of columns.
pub(super) fn common_columns(operands: &[Found]) -> Layout {
    match operands.first() {
        Some(&Some(first @ (Layout::Columns { .. } | Layout::Experts { .. })))
            if operands.iter().all(|o| *o == Some(first)) =>
        {
            first
        }
        _ => Layout::Whole,
    }
}

/// Pieces of the queries' and of the keys' heads: a piece of queries per rank, or all of both. Keys
/// that an encoder left lie as they are wanted: in the pieces in which it cuts them.
///
/// # Errors
/// Queries in fewer pieces than ranks, or keys that neither divide nor are divided.
pub(super) fn attention(
    (heads, kv_heads): (u64, u64),
    place: Place,
    operands: &[Found],
) -> Result<(u64, u64), SplitError> {
    let pieces = |operand: usize| match operands.get(operand) {
        Some(Some(layout)) => layout.column_parts(),
        _ => 1,
    };
    let keys = match operands.get(1) {
        Some(None) if pieces(0) > 1 => parts(kv_heads, place.rank.of)?,
        _ => pieces(1),
    };
    match (pieces(0), keys) {
        (1, _) => Ok((1, 1)),
        (queries, keys) if queries == place.rank.of => Ok((queries, keys)),
        _ => Err(SplitError::QueryHeads { heads, ranks: place.rank.of }),
    }
}
