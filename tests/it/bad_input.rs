//! Bad input: one screen that says where and what to do, exit code 2, nothing half-written.

mod arguments;
mod encoders;
mod hostile;
mod kv_cache;
mod latent;
mod models;
mod outputs;
mod parallel;
mod profiles;
mod schemes;
mod speculation;
mod sweeps;
