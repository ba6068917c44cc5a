//! Speculative decoding: a draft proposes `gamma` tokens, the target verifies them in one step of
//! `gamma + 1` tokens and keeps the accepted ones and one of its own (Leviathan et al., arXiv
//! 2211.17192; Chen et al., arXiv 2302.01318).

mod cycle;
mod draft;
mod optimal;
mod sampling;
mod speculator;
mod surface;

pub use cycle::Cycle;
pub use draft::{DraftPlan, Speculated, Target};
pub use optimal::{MAX_GAMMA, Optimum, optimal_gamma};
pub use sampling::{Simulated, simulate, speculative_sample};
pub use speculator::{Speculation, Speculator};
pub use surface::{Surface, SurfacePoint};
