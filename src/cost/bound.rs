//! What limits a kernel.

use serde::Serialize;

/// Something that a kernel waits for while others overlap with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Matrix engine.
    Matrix,
    /// Vector engine.
    Vector,
    /// Special-function engine.
    Special,
    /// The slowest memory level that the bytes pass.
    Memory,
    /// The link to other devices that an exchange goes over.
    Link,
    /// The link to host memory.
    Host,
}

impl Resource {
    /// All resources; an array of times is indexed by `resource as usize`.
    pub const ALL: [Self; 6] =
        [Self::Matrix, Self::Vector, Self::Special, Self::Memory, Self::Link, Self::Host];
}

/// Seconds per resource, indexed by `resource as usize`.
pub type Times = [f64; Resource::ALL.len()];

/// What a kernel's time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// The resource that takes longest.
    Resource(Resource),
    /// The launch takes longer than any resource.
    Overhead,
}

impl Bound {
    /// All bounds, in the order of [`Self::index`].
    pub const ALL: [Self; Resource::ALL.len() + 1] = [
        Self::Resource(Resource::Matrix),
        Self::Resource(Resource::Vector),
        Self::Resource(Resource::Special),
        Self::Resource(Resource::Memory),
        Self::Resource(Resource::Link),
        Self::Resource(Resource::Host),
        Self::Overhead,
    ];

    /// Place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Resource(r) => r as usize,
            Self::Overhead => Resource::ALL.len(),
        }
    }

    /// Its name; a memory bound by the name of the level.
    pub const fn name(self, memory_level: &str) -> &str {
        match self {
            Self::Resource(Resource::Matrix) => "matrix",
            Self::Resource(Resource::Vector) => "vector",
            Self::Resource(Resource::Special) => "special",
            Self::Resource(Resource::Memory) => memory_level,
            Self::Resource(Resource::Link) => "link",
            Self::Resource(Resource::Host) => "host link",
            Self::Overhead => "overhead",
        }
    }

    /// The larger of a kernel's resource times, or the launch where that is larger still.
    pub fn of(times: &Times, launch: f64) -> Self {
        let longest = longest(times);
        if launch > times[longest as usize] { Self::Overhead } else { Self::Resource(longest) }
    }
}

/// The resource that takes longest; the first among equals.
pub(super) fn longest(times: &Times) -> Resource {
    let mut longest = Resource::Matrix;
    for resource in Resource::ALL {
        if times[resource as usize] > times[longest as usize] {
            longest = resource;
        }
    }
    longest
}

/// The bounds that occur among the kernels of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BoundSet(u8);

impl BoundSet {
    /// Adds a bound.
    pub fn insert(&mut self, bound: Bound) {
        self.0 |= 1 << bound.index();
    }

    /// Whether a bound occurs.
    pub const fn contains(self, bound: Bound) -> bool {
        self.0 & (1 << bound.index()) != 0
    }

    /// What occurs in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
