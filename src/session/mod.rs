//! Running a model on sequences: steps one behind another with the caches that they leave.

mod generate;
mod scheme;
mod speculate;
mod state;

pub use generate::{Draw, probabilities};
pub use scheme::{SchemeError, Schemed, Settled};
pub use speculate::{Pair, Speculation, acceptance, drawn, residual, verify};
pub use state::{Encoded, Outcome, RunError, Session};
