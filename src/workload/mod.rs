//! A scenario: which model, under which techniques, with which traffic, and what to vary.

mod acceptance;
mod axis;
mod bundled;
mod cache;
mod parallel;
mod raw;
mod scenario;
mod speculative;
mod technique;

pub use acceptance::{Acceptance, AcceptanceError};
pub use axis::{Axis, Setting, expand_values};
pub use bundled::{ids, load, source};
pub use cache::{CacheChoice, CacheSetting, LayoutKind, parse_offload};
pub use parallel::{Degree, DegreeSetting, checked as checked_parallel, parse_degree};
pub use raw::RawScenario;
pub use scenario::{Scenario, Traffic};
pub use speculative::{Drafter, Gamma, Speculative};

/// JSON Schema of a scenario file, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawScenario).to_value()
}
