//! Models.
pub mod architecture;
mod build;
pub use architecture::*;
pub use build::{AttentionKernel, BuildOptions, FusionSet};
