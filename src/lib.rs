//! cosim: hardware/software co-design simulator and cost model for LLM inference.
#![warn(missing_docs)]

pub mod diagnostic;
pub mod dtype;
pub mod model;
pub mod provenance;
pub mod units;
pub mod yaml;
