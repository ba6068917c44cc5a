//! How good a model is, and how far from another: statistics over logits and values, nothing else.
//!
//! Logits are rows of a vocabulary, one for each predicted token, in any scalar; sums are in f64.

mod agreement;
mod likelihood;
mod signal;

pub use agreement::Agreement;
pub use likelihood::{Likelihood, log_softmax, perplexity};
pub use signal::Signal;
