//! Integration tests: physics, properties, semantics, external goldens, command line.

mod bad_input;
mod cli;
mod codec;
mod context_parallel;
mod documents;
mod encoders;
mod expert_parallel;
mod extending;
mod fast_kernels;
mod formats;
mod fuzz_seeds;
mod golden_models;
mod golden_operators;
mod kv_cache;
mod kv_sharing;
mod latent;
mod laws;
mod layers;
mod models;
mod one_graph;
#[cfg(feature = "online-tests")]
mod online;
mod operators;
mod parallel;
mod physics;
mod quantization;
mod quantizers;
mod readme;
mod schemas;
mod semantics;
mod sharding;
mod speculation;
mod speculative_sampling;
mod stretches;
mod support;
mod work_is_metered;
