//! What a stack's host takes beside all kernels.

use super::parameter::Parameter;

/// Seconds that a stack's host adds to a request and to each of its decode steps: inputs prepared and results
/// handed back, kernels launched one by one, tokens chosen (A151).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Host;

impl Host {
    /// A request, before its first token; a decode step.
    pub const PARAMETERS: &[Parameter] =
        &[Parameter::of_host("request"), Parameter::of_host("step")];
}
