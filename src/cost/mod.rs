//! What a plan costs on a machine: time, bound, memory, energy, money.
//!
//! By the roofline, per kernel, `time = max(matrix, vector, special, memory, link, host) + launch`: operations over
//! effective rate per engine class, off-chip bytes over effective bandwidth of the slowest level they pass. Bound to
//! [`Silicon`], kernels are mapped onto units, caches and DRAM.
//! docs/COST-MODEL.md has the equations with their symbols and limits.

pub mod attention_traffic;
mod bound;
mod capacity;
mod economics;
mod estimator;
mod exchange;
mod generation;
mod host;
mod kernel;
mod mapped;
mod memory;
mod power;
mod report;
mod request;
mod span;
pub mod speculative;

pub use bound::{Bound, BoundSet, Resource, Times};
pub use capacity::{Capacity, Remedy};
pub use economics::{ApiCost, ApiPrice, Economics};
pub use estimator::{EstimateError, Estimator, Provenance};
pub use exchange::{ExchangeTime, NoLink, Peers};
pub use generation::{Loads, Ranges, Summary};
pub use host::{HostTime, NoHost};
pub use kernel::KernelCost;
pub use mapped::{Lookups, MappedPart, Silicon};
pub use memory::Memory;
pub use power::{Load, Power};
pub use report::{CostReport, OperatorCost, PhaseCost};
pub use request::{DecodeSpan, Request, RequestError, Steps};
