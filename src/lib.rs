//! cosim: hardware/software co-design simulator and cost model for LLM inference.

pub mod cli;
pub mod codec;
pub mod cost;
pub mod diagnostic;
pub mod dtype;
pub mod exec;
pub mod formats;
pub mod graph;
pub mod hardware;
pub mod mapping;
pub mod model;
pub mod op;
pub mod par;
pub mod provenance;
pub mod quality;
pub mod quantize;
pub mod report;
pub mod reproduce;
pub mod serving;
pub mod sweep;
pub mod tensor;
pub mod units;
pub mod weights;
pub mod workload;
pub mod yaml;
