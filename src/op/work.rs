//! What an operator demands of a machine, without saying which machine.

/// Most operands that an operator reads.
pub const MAX_OPERANDS: usize = 3;

/// Operations per engine class and distinct elements touched per operand, for one step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Work {
    /// Matrix operations; a multiply-add is two.
    pub matrix: f64,
    /// Vector operations; a multiply-add is two.
    pub vector: f64,
    /// Special operations: exp, tanh, erf, sin, cos, rsqrt, division.
    pub special: f64,
    /// Distinct elements read of each operand, in operand order.
    pub reads: [f64; MAX_OPERANDS],
    /// Distinct elements written.
    pub writes: f64,
}

/// The shape of an operator's data access, which a mapping onto a machine is chosen by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pattern {
    /// `b` independent products `[m, k] x [k, n]`.
    Contraction {
        /// Independent products.
        b: f64,
        /// Rows of the left operand.
        m: f64,
        /// Columns of the result.
        n: f64,
        /// Length of the sum.
        k: f64,
    },
    /// A part of attention: scores, softmax or weighted sum over visible pairs.
    Attention {
        /// Query heads.
        heads: f64,
        /// Key and value heads.
        kv_heads: f64,
        /// Elements of a head; 0 for the softmax, which reads no head.
        head_dim: f64,
        /// Visible (query, key) pairs.
        pairs: f64,
    },
    /// Every element once, in order.
    Stream,
    /// Rows picked by index.
    Gather,
    /// Ranks of a group exchange values; its `eval` sees the values of all ranks, one behind the
    /// other, and its work is one rank's share.
    Collective {
        /// Which exchange.
        exchange: Exchange,
        /// Ranks that take part.
        ranks: u64,
        /// Along which axis of the devices.
        along: MeshAxis,
        /// Elements that it is over: see [`Exchange`].
        elements: f64,
    },
}

/// An axis of the devices that share the work of a model, neighbours first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MeshAxis {
    /// Ranks that cut a layer.
    Tensor,
    /// Ranks that hold a part of the positions of every sequence.
    Context,
    /// Stages of a pipeline.
    Pipeline,
    /// Replicas.
    Data,
}

/// An exchange between the ranks of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exchange {
    /// Every rank gets the sum of all; the elements are those of one summand.
    AllReduce,
    /// Every rank gets all pieces; the elements are those of all pieces together.
    AllGather,
    /// Every rank gets its piece of the sum of all; the elements are those of one summand.
    ReduceScatter,
    /// Every rank gets its piece of what each other holds; the elements are those that one rank gets.
    AllToAll,
    /// One rank hands its value on to another; the elements are those of the value.
    Send,
    /// Every rank gets the value of one; the elements are those of the value.
    Broadcast,
}

impl Exchange {
    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllReduce => "all-reduce",
            Self::AllGather => "all-gather",
            Self::ReduceScatter => "reduce-scatter",
            Self::AllToAll => "all-to-all",
            Self::Send => "send",
            Self::Broadcast => "broadcast",
        }
    }
}
