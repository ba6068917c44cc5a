//! Integration tests: physics, properties, semantics, external goldens, command line.

mod readme;
mod schemas;
mod work_is_metered;
