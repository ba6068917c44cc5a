//! From graph and quantization scheme to a flat [`Plan`] that is evaluated per step without
//! allocation or strings.

mod footprint;
mod overrides;
mod plan;
mod quantize;
mod storage;

pub use footprint::{Footprint, WeightBytes};
pub use overrides::check_overrides;
pub use plan::{Plan, PlanKernel, PlanNode, Turn};
pub use quantize::rewritten;
pub use storage::{FileSize, Formats};
