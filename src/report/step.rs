//! The phases of a request and what limits an operator in them, as charts tell them apart.

pub use crate::tensor::Phase;

/// What limits an operator, as a kind: the texture of its bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// An engine's rate.
    Compute,
    /// A memory level's bandwidth.
    Memory,
    /// A link between devices.
    Link,
    /// Launches and latency.
    Overhead,
}

impl Limit {
    /// Every kind, in legend order.
    pub const ALL: [Self; 4] = [Self::Compute, Self::Memory, Self::Link, Self::Overhead];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Memory => "memory",
            Self::Link => "link",
            Self::Overhead => "overhead",
        }
    }
}
