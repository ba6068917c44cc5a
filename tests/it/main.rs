//! Integration tests: physics, properties, semantics, external goldens, command line.

mod work_is_metered;
