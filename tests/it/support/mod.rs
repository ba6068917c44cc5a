//! What several tests share: known and random models, machines, measured tables, and the executor's inputs.

pub mod case;
mod desk;
pub mod machines;
pub mod measured;
pub mod models;
pub mod random;
pub mod sequences;
pub mod vectors;

pub use desk::{Desk, words};
use proptest::test_runner::Config;

/// So many cases, nothing written to disk.
pub fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}
