//! The command line on good input: stable names in JSON, stable bytes in files.

mod catalogs;
mod distill;
mod encoders;
mod estimates;
mod golden_layer;
mod graphs;
mod help;
mod kernel_examples;
mod kernels;
mod kv_cache;
mod parallel;
mod runs;
mod sweeps;
mod techniques;
