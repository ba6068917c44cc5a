//! What most papers need: a bundled model under a scheme on a bundled device.

use crate::cost::{Estimator, Request, Summary};
use crate::diagnostic::Diagnostic;
use crate::dtype::{ParseSchemeError, Scheme};
use crate::hardware::{self, Fidelity, Machine};
use crate::mapping::Plan;
use crate::model::{self, BuildOptions};

/// A bundled device.
///
/// # Errors
/// An unknown id.
pub(super) fn machine(id: &str, fidelity: Fidelity) -> Result<Machine, Diagnostic> {
    let raw = hardware::resolve(id, &|name| hardware::bundled::source(name))?;
    Ok(Machine::compile(&raw.check()?, fidelity))
}

/// A bundled model under a scheme.
///
/// # Errors
/// An unknown id or scheme.
pub(super) fn plan(model: &str, scheme: &str) -> Result<Plan, Diagnostic> {
    let scheme: Scheme = scheme
        .parse()
        .map_err(|e: ParseSchemeError| Diagnostic::new(e.to_string()).hint(e.hint))?;
    let graphs = model::load_bundled(model)?.graphs(&BuildOptions::default());
    let graphs = graphs.map_err(|e| Diagnostic::new(e.to_string()))?;
    Ok(Plan::of(graphs.parts(), &scheme))
}

/// Times and memory of a request.
///
/// # Errors
/// No engine for the scheme, or a request that cannot be.
pub(super) fn summary(
    plan: &Plan,
    machine: &Machine,
    request: &Request,
) -> Result<Summary, Diagnostic> {
    let estimator = Estimator::new(plan, machine).map_err(|e| Diagnostic::new(e.to_string()))?;
    estimator.summary(request).map_err(|e| Diagnostic::new(e.to_string()))
}
