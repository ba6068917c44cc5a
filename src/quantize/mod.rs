//! Post-training quantizers: which numbers a weight, an activation or a cache becomes under a storage.

mod awq;
mod calibration;
mod gptq;
mod grid;
mod matrix;
mod rtn;
mod smooth;

pub use awq::{Awq, awq_scales, clip};
pub use calibration::Calibration;
pub use gptq::{Gptq, gptq};
pub use grid::{Affine, Grid, Levels, Range};
pub use matrix::{Matrix, Places, Quantized, Ragged, Sharing};
pub use rtn::rtn;
pub use smooth::smooth;

/// What cannot be quantized.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantizeError {
    /// A calibration or scales of another number of channels than the weight has inputs.
    #[error("expected {expected} channels, found {found}")]
    Channels {
        /// Inputs of the weight.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// A Hessian that has no Cholesky factor.
    #[error("the Hessian of the calibration is not positive definite, or not finite")]
    Hessian,
}
