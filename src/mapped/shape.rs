//! A launch of any kind, by its shape.

use super::{
    AllReduce, Chip, Decode, Exchange, Grouped, Kind, Mapped, Matmul, Prefill, Stream, Unfused,
    Whole,
};

/// What a launch demands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Products of matrices.
    Matmul(Matmul),
    /// Attention of many queries per sequence.
    Prefill(Prefill),
    /// Attention of one or few queries per sequence.
    Decode(Decode),
    /// Every element once.
    Stream(Stream),
    /// Attention of whole sequences whose scores pass through memory.
    Unfused(Unfused),
    /// A sum over devices.
    AllReduce(AllReduce),
    /// Another exchange over devices.
    Exchange(Exchange),
    /// A layer of experts.
    Grouped(Grouped),
    /// A kernel of a step that was only timed as a whole.
    Whole(Whole),
}

impl Shape {
    /// The kind of kernel.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Matmul(_) => Kind::Matmul,
            Self::Prefill(_) => Kind::Prefill,
            Self::Decode(_) => Kind::Decode,
            Self::Stream(_) => Kind::Stream,
            Self::Unfused(_) => Kind::Unfused,
            Self::AllReduce(_) => Kind::AllReduce,
            Self::Exchange(_) => Kind::Exchange,
            Self::Grouped(_) => Kind::Grouped,
            Self::Whole(_) => Kind::Whole,
        }
    }

    /// The fastest mapping onto a chip, with the parameters of its kind.
    pub fn map(&self, chip: &Chip, p: &[f64]) -> Mapped {
        match self {
            Self::Matmul(shape) => shape.map(chip, p),
            Self::Prefill(shape) => shape.map(chip, p),
            Self::Decode(shape) => shape.map(chip, p),
            Self::Stream(shape) => shape.map(chip, p),
            Self::Unfused(shape) => shape.map(chip, p),
            Self::AllReduce(shape) => shape.map(p),
            Self::Exchange(shape) => shape.map(p),
            Self::Grouped(shape) => shape.map(chip, p),
            Self::Whole(shape) => shape.map(chip, p),
        }
    }

    /// The same on matrix engines of another speed.
    pub(super) fn at_peak(mut self, times: f64) -> Self {
        match &mut self {
            Self::Matmul(shape) => shape.peak *= times,
            Self::Prefill(shape) => shape.peak *= times,
            Self::Unfused(shape) => shape.attention.peak *= times,
            Self::Grouped(shape) => {
                shape.up.peak *= times;
                shape.down.peak *= times;
            }
            Self::Whole(shape) => shape.peak *= times,
            Self::Decode(_) | Self::Stream(_) | Self::AllReduce(_) | Self::Exchange(_) => {}
        }
        self
    }

    /// The same over links of another speed.
    pub(super) fn over_link(mut self, times: f64) -> Self {
        match &mut self {
            Self::AllReduce(shape) => shape.link *= times,
            Self::Exchange(shape) => shape.link *= times,
            _ => {}
        }
        self
    }

    /// The extents, in words.
    pub fn words(&self) -> String {
        let attention = |a: &super::Attended| {
            let super::Attended { batch, queries, keys, heads, kv_heads, head_dim, .. } = a;
            format!("{batch:.0} x {queries:.0} q, {keys:.0} kv, {heads}/{kv_heads} x {head_dim:.0}")
        };
        let product = |Matmul { groups, m, n, k, .. }: &Matmul| match groups {
            one if *one <= 1.0 => format!("{m:.0} x {n:.0} x {k:.0}"),
            groups => format!("{groups:.0} x {m:.1} x {n:.0} x {k:.0}"),
        };
        let bytes = |bytes: f64| crate::units::Bytes::new(bytes).to_string();
        match self {
            Self::Matmul(shape) => product(shape),
            Self::Grouped(shape) => format!("{}, {}", product(&shape.up), product(&shape.down)),
            Self::Prefill(shape) => attention(&shape.over),
            Self::Decode(shape) => attention(&shape.over),
            Self::Unfused(shape) => attention(&shape.attention.over),
            Self::Stream(shape) => bytes(shape.bytes),
            Self::AllReduce(s) => format!("{} devices, {}", s.devices, bytes(s.bytes)),
            Self::Exchange(s) => format!("{} devices, {}", s.devices, bytes(s.bytes)),
            Self::Whole(shape) => bytes(shape.bytes),
        }
    }
}
