//! What a block of a sweep is about: a device, and a model under techniques.

use crate::cost::speculative::Speculated;
use crate::cost::{Power, Silicon};
use crate::dtype::Scheme;
use crate::hardware::Machine;
use crate::mapping::Plan;
use crate::model::{BuildOptions, HeadForm};
use crate::units::DollarsPerHour;
use crate::workload::Speculative;
use std::sync::Arc;

/// A device, possibly with fields changed by the sweep.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Profile id.
    pub id: Arc<str>,
    /// Name of the product.
    pub name: String,
    /// Who makes it.
    pub vendor: String,
    /// Values of the hardware axes, in the axes' order.
    pub settings: Vec<String>,
    /// The machine.
    pub machine: Machine,
    /// What its kernels are mapped with; `None` where they take the roofline's times.
    pub silicon: Option<Silicon>,
    /// Why, where nobody asked for those.
    pub roofline_because: Option<String>,
    /// Power for energy figures.
    pub power: Option<Power>,
    /// Price for money figures.
    pub price: Option<DollarsPerHour>,
}

/// A model under techniques, compiled.
#[derive(Debug, Clone)]
pub struct Technique {
    /// Model id.
    pub model: String,
    /// Name of the model.
    pub model_name: String,
    /// Scheme.
    pub scheme: Scheme,
    /// `flash` or `naive`, and `default` or `none`.
    pub options: BuildOptions,
    /// How many key-value heads serve the query heads.
    pub heads: HeadForm,
    /// What queries see, layer by layer: `full`, `4096`, `5 x 1024, full`.
    pub windows: String,
    /// Speculative decoding, as chosen.
    pub speculative: Speculative,
    /// The same, compiled; `None` for plain decoding.
    pub speculated: Option<Speculated>,
    /// The compiled plan.
    pub plan: Plan,
}
