//! Integration tests: physics, properties, semantics, external goldens, command line.

mod bad_input;
mod cli;
mod context_parallel;
mod documents;
mod encoders;
mod expert_parallel;
mod extending;
mod kv_cache;
mod kv_sharing;
mod latent;
mod laws;
mod layers;
mod models;
mod one_graph;
mod operators;
mod parallel;
mod physics;
mod quantization;
mod readme;
mod schemas;
mod semantics;
mod sharding;
mod speculation;
mod stretches;
mod support;
mod work_is_metered;
