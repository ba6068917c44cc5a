//! Hardware: a device profile from YAML to a checked [`Hardware`] to the flat [`Machine`].
//!
//! Two stages: [`RawHardware`] is what a file says, every field optional, so that profiles can
//! extend each other ([`load`]) and single fields can be set ([`RawHardware::set`]);
//! [`Hardware`] is checked: it has a matrix peak, DRAM bandwidth and capacity, and aggregate
//! bandwidth does not rise outward. Every value carries its basis and citation.

pub mod bundled;
mod check;
mod compile;
mod engine;
mod extends;
pub mod fallback;
mod figure;
mod layer;
mod machine;
mod price;
mod profile;
mod raw;
mod set;
mod topology;

pub use engine::{Engine, EngineClass, MissingEngine};
pub use extends::{Lookup, load, resolve};
pub use figure::Figure;
pub use layer::{Layer, Named, Placed};
pub use machine::{
    Fidelity, HourlyPrice, Known, LevelRate, LinkRate, Machine, Origin, OriginId, Rate,
};
pub use price::{NoPrice, Price};
pub use profile::{Efficiency, Hardware, Level, Link, Row, Units};
pub use raw::{
    RawEfficiency, RawEngines, RawHardware, RawLevel, RawLink, RawOverhead, RawPower, RawUnits,
    Scope,
};

/// The JSON Schema of a profile, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawHardware).to_value()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_knows_fields_and_both_forms_of_a_figure() {
        let schema = super::schema();
        let text = schema.to_string();
        for part in ["extends", "engines", "\"oneOf\"", "kernel_launch", "additionalProperties"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
