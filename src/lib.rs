//! cosim: hardware/software co-design simulator and cost model for LLM inference.
#![warn(missing_docs)]

pub mod diagnostic;
pub mod dtype;
pub mod provenance;
pub mod report;
pub mod units;
pub mod yaml;
