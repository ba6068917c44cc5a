//! Integration tests: physics, properties, semantics, external goldens, command line.

mod laws;
mod layers;
mod one_graph;
mod physics;
mod semantics;
mod support;
mod work_is_metered;
