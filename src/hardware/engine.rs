//! Which engine computes a format, and what to say where there is none.

use super::machine::{Machine, Rate};
use crate::diagnostic::Diagnostic;
use crate::dtype::{Compute, Format};

/// The class of engine that runs an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineClass {
    /// Tensor cores, MFMA, MXU.
    Matrix,
    /// The same on 2:4 sparse weights; zeros that are skipped count as operations (A62).
    Sparse,
    /// SIMD lanes.
    Vector,
}

impl EngineClass {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Matrix => "matrix",
            Self::Sparse => "2:4 sparse matrix",
            Self::Vector => "vector",
        }
    }
}

/// An engine for a format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Engine {
    /// The format it multiplies.
    pub format: Format,
    /// Its rate.
    pub rate: Rate,
    /// What it is: fp32 products without a matrix engine run on the vector engine (A14).
    pub class: EngineClass,
}

/// The device does not multiply that format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{machine} has no {wanted} engine")]
pub struct MissingEngine {
    /// The device.
    pub machine: String,
    /// What was asked for.
    pub wanted: String,
    /// The formats that it has.
    pub has: Vec<Format>,
    /// The closest quantization scheme that it can run.
    pub substitute: &'static str,
}

impl MissingEngine {
    /// What to do instead.
    pub fn hint(&self) -> String {
        let has: Vec<&str> = self.has.iter().map(|f| f.name()).collect();
        format!("it has {}; the closest scheme is `{}`", has.join(", "), self.substitute)
    }
}

impl From<MissingEngine> for Diagnostic {
    fn from(error: MissingEngine) -> Self {
        Self::new(error.to_string()).hint(error.hint())
    }
}

impl Machine {
    /// The engine that multiplies matrices in that format.
    ///
    /// # Errors
    /// [`MissingEngine`]: a rate is never inferred from another format's.
    pub fn matrix(&self, compute: Compute) -> Result<Engine, MissingEngine> {
        let native = |format| {
            let rate = self.matrix_rate(format)?;
            Some(Engine { format, rate, class: EngineClass::Matrix })
        };
        let found = match compute {
            Compute::Native16 => native(Format::Bf16).or_else(|| native(Format::Fp16)),
            Compute::Exact(Format::Fp32) => native(Format::Fp32).or_else(|| self.vector_fp32()),
            Compute::Exact(format) => native(format),
        };
        found.ok_or_else(|| self.missing(compute))
    }

    /// The engine that multiplies by 2:4 sparse weights: the one with the sparse figure of the device,
    /// else the one for dense weights (A62).
    ///
    /// # Errors
    /// [`MissingEngine`], as [`Self::matrix`].
    pub fn sparse(&self, compute: Compute) -> Result<Engine, MissingEngine> {
        let dense = self.matrix(compute)?;
        let rate = self.sparse_rate(dense.format);
        Ok(rate.map_or(dense, |rate| Engine { rate, class: EngineClass::Sparse, ..dense }))
    }

    fn vector_fp32(&self) -> Option<Engine> {
        let format = self.vector_format.filter(|f| *f == Format::Fp32)?;
        Some(Engine { format, rate: self.vector?, class: EngineClass::Vector })
    }

    fn missing(&self, compute: Compute) -> MissingEngine {
        let wanted = match compute {
            Compute::Native16 => "16-bit matrix".to_owned(),
            Compute::Exact(format) => format!("{format} matrix"),
        };
        let has = Format::ALL.iter().copied().filter(|f| self.matrix_rate(*f).is_some());
        MissingEngine {
            machine: self.id.to_string(),
            wanted,
            has: has.collect(),
            substitute: substitute(compute),
        }
    }
}

/// Same bits in memory, 16 bits in the engine.
const fn substitute(compute: Compute) -> &'static str {
    match compute {
        Compute::Native16 => "fp32",
        Compute::Exact(format) => match format {
            Format::Fp8E4m3 => "wfp8a16",
            Format::Fp8E5m2 => "wfp8-e5m2a16",
            Format::Int8 => "w8a16",
            Format::Int4 => "w4a16",
            Format::Int3 => "w3a16",
            Format::Int2 => "w2a16",
            Format::Fp6E2m3 => "wmxfp6a16",
            Format::Fp6E3m2 => "wmxfp6-e3m2a16",
            Format::Fp4E2m1 => "wfp4-e2m1a16",
            Format::Fp32 | Format::Tf32 | Format::Bf16 | Format::Fp16 | Format::Int32 => "16bit",
        },
    }
}
