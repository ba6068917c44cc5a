//! Integration tests: physics, properties, semantics, external goldens, command line.

mod bad_input;
mod cli;
mod support;
mod work_is_metered;
