//! Running a model on sequences: steps one behind another with the caches that they leave.

mod generate;
mod state;

pub use generate::{Draw, probabilities};
pub use state::{Encoded, Outcome, RunError, Session};
