//! Prices: of an hour, or of the device.

use super::machine::{HourlyPrice, Machine};
use crate::diagnostic::{Diagnostic, nearest_hint};
use crate::provenance::Quoted;
use crate::units::{Dollars, DollarsPerHour};

/// Names tried when none is asked for (A13).
const DEFAULTS: [&str; 2] = ["cloud-low", "cloud-hyperscaler"];

/// A price of a profile.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Price {
    /// Rent.
    Hourly(Quoted<DollarsPerHour>),
    /// Purchase.
    Purchase(Quoted<Dollars>),
}

/// Why a cost in money stays blank.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPrice {
    /// The profile has no hourly price.
    #[error("no hourly price: no figure for {machine}")]
    NoFigure {
        /// The device.
        machine: String,
    },
    /// The profile has no hourly price of that name.
    #[error("{machine} has no hourly price `{name}`; it has: {}", listed(.has))]
    Unknown {
        /// The device.
        machine: String,
        /// The name asked for.
        name: String,
        /// The hourly prices that it has.
        has: Vec<String>,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl From<NoPrice> for Diagnostic {
    fn from(error: NoPrice) -> Self {
        let hint = match &error {
            NoPrice::NoFigure { .. } => {
                "give one: `--set hardware.prices.mine=2.50 $/h`".to_owned()
            }
            NoPrice::Unknown { name, has, .. } => {
                let has: Vec<&str> = has.iter().map(String::as_str).collect();
                nearest_hint(name, &has)
            }
        };
        Self::new(error.to_string()).hint(hint)
    }
}

impl Machine {
    /// The hourly price of that name; by default `cloud-low`, else `cloud-hyperscaler`.
    ///
    /// # Errors
    /// [`NoPrice`]: the reason for a blank, or an unknown name.
    pub fn price(&self, name: Option<&str>) -> Result<&HourlyPrice, NoPrice> {
        let find = |name: &str| self.prices.iter().find(|p| p.name.as_ref() == name);
        match name {
            None => DEFAULTS
                .iter()
                .find_map(|n| find(n))
                .ok_or_else(|| NoPrice::NoFigure { machine: self.id.to_string() }),
            Some(name) => find(name).ok_or_else(|| NoPrice::Unknown {
                machine: self.id.to_string(),
                name: crate::diagnostic::clip(name),
                has: self.prices.iter().map(|p| p.name.to_string()).collect(),
            }),
        }
    }
}
