//! Weights and KV cache in host memory: what the host link takes (A57).

use crate::hardware::{LinkRate, Machine, OriginId, fallback};
use crate::provenance::Basis;

/// A device without a link to host memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{device} has no `host` link in its profile, which offloaded bytes pass")]
pub struct NoHost {
    /// The device.
    pub device: String,
}

/// Seconds per byte from or to host memory, and what they are known from.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTime {
    /// Seconds per byte.
    pub beta: f64,
    /// Where the bandwidth comes from, and the weakest basis behind it.
    pub input: (Basis, OriginId),
    /// The named fallback for an efficiency that the profile lacks.
    pub fallback: Option<String>,
}

impl HostTime {
    /// The host link of a machine.
    ///
    /// # Errors
    /// A machine without one.
    pub fn new(machine: &Machine) -> Result<Self, NoHost> {
        let missing = || NoHost { device: machine.id.to_string() };
        let link: &LinkRate = machine.host.as_ref().ok_or_else(missing)?;
        let guess = fallback::link().value;
        let efficiency = link.efficiency.unwrap_or(guess).get();
        let named = || format!("links.{}.efficiency = {} (A67)", link.name, guess.get());
        let fallback = link.efficiency.is_none().then(named);
        let basis = if fallback.is_some() { Basis::Assumed } else { link.basis };
        let beta = 1.0 / (link.bandwidth.get() * efficiency);
        Ok(Self { beta, input: (basis, link.origin), fallback })
    }
}
