//! Post-training quantizers: which numbers a weight, an activation or a cache becomes under a storage.

mod awq;
mod blocks;
mod calibration;
mod calibrations;
mod fold;
mod gptq;
mod grid;
mod matrix;
mod model;
mod rows;
mod rtn;
mod smooth;
mod sparse;
mod storage;

pub use awq::{Awq, awq_scales, clip};
pub use calibration::Calibration;
pub use calibrations::{Calibrations, Input, inputs, layers};
pub use fold::{Absorber, Fold, Folded, Site, sites};
pub use gptq::{Gptq, gptq};
pub use grid::{Affine, Grid, Levels, Range};
pub use matrix::{Matrix, Places, Quantized, Ragged, Sharing};
pub use model::{Recipe, Replaced};
pub use rows::{rows, settle, static_scale};
pub use rtn::rtn;
pub use smooth::smooth;
pub use storage::{Method, matrix, nearest};

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
    /// A method that needs to know the inputs of a weight, without a calibration.
    #[error("GPTQ and AWQ need a calibration: the inputs of the weight on sample tokens")]
    NoCalibration,
    /// A weight whose inputs the calibration does not have: one that several operators multiply, for instance.
    #[error("the calibration saw no activation that weight `{weight}` multiplies")]
    Unseen {
        /// The weight's name in the graph.
        weight: String,
    },
    /// A block format without a codec.
    #[error(transparent)]
    Block(#[from] crate::codec::block::BlockError),
    /// A Hessian that has no Cholesky factor.
    #[error("the Hessian of the calibration is not positive definite, or not finite")]
    Hessian,
}
