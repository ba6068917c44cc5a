//! cosim: hardware/software co-design simulator and cost model for LLM inference.
#![warn(missing_docs)]

pub mod diagnostic;
pub mod dtype;
pub mod exec;
pub mod graph;
pub mod mapping;
pub mod op;
pub mod par;
pub mod hardware;
pub mod provenance;
pub mod tensor;
pub mod units;
pub mod yaml;
