//! From graph and quantization scheme to a flat [`Plan`] that is evaluated per step without
//! allocation or strings.

mod footprint;
mod plan;
mod storage;

pub use footprint::{Footprint, WeightBytes};
pub use plan::{Plan, PlanKernel, PlanNode};
pub use storage::{FileSize, Formats};
