//! How well a software stack uses a device: fitted parameters with what they were fitted to.
//!
//! A calibration belongs to a device and a stack (`trtllm`, `vllm`, `torch`, ...). A device without one
//! takes after those that it resembles ([`Tuning`]), with the wider interval of devices left out of a fit.

pub mod bundled;
mod file;
mod tuning;

use super::Kind;
use std::collections::BTreeMap;

pub use tuning::{Tuned, Tuning, Wanted};

/// What is measured over what is predicted: the 10th and 90th percentile of the residuals of rows that a
/// fit has not seen, so that 80 % of measurements lie between both times the prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// 10th percentile.
    pub low: f64,
    /// 90th percentile.
    pub high: f64,
}

impl Interval {
    /// Nothing but the prediction.
    pub const NONE: Self = Self { low: 1.0, high: 1.0 };

    /// Whether a measurement lies in it.
    pub fn holds(&self, predicted: f64, measured: f64) -> bool {
        (self.low * predicted..=self.high * predicted).contains(&measured)
    }
}

/// The parameters of one kind of kernel in one format.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Values in SI, in the order of [`Kind::parameters`].
    pub values: Vec<f64>,
    /// Relative standard errors; `None` where the data did not identify a parameter, which is held at
    /// where a fit begins.
    pub errors: Vec<Option<f64>>,
    /// Rows that it was fitted to.
    pub rows: u64,
    /// Of rows left out.
    pub interval: Interval,
}

/// Kernels of a kind by format: `bf16`, `fp8`, `bf16+kv-fp8`, or the operator for elementwise ones.
pub type Kernels = BTreeMap<(Kind, String), Fitted>;

/// What was fitted to a device under a stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Id of the device's profile.
    pub hardware: String,
    /// The software stack.
    pub stack: String,
    /// The stack whose kernels it has where it has none of its own.
    pub like: Option<String>,
    /// When it was fitted, as YYYY-MM-DD.
    pub date: String,
    /// What it was fitted to.
    pub data: Vec<String>,
    /// The parameters.
    pub kernels: Kernels,
}

impl Calibration {
    /// Parameters that are on the way: of no file and no day.
    pub fn of(hardware: &str, stack: &str, kernels: Kernels) -> Self {
        let (hardware, stack) = (hardware.to_owned(), stack.to_owned());
        Self { hardware, stack, like: None, date: String::new(), data: vec![], kernels }
    }
}
