//! What most papers need: a bundled model under a scheme on a bundled device.

use crate::cost::{Estimator, Request, Summary};
use crate::diagnostic::Diagnostic;
use crate::dtype::{ParseSchemeError, Scheme};
use crate::graph::shard::Parallel;
use crate::hardware::{self, Fidelity, Machine};
use crate::mapping::{FileSize, Plan};
use crate::model::{self, BuildOptions, Graphs};
use crate::tensor::Phase;

/// A bundled device.
///
/// # Errors
/// An unknown id.
pub(super) fn machine(id: &str, fidelity: Fidelity) -> Result<Machine, Diagnostic> {
    let raw = hardware::resolve(id, &|name| hardware::bundled::source(name))?;
    Ok(Machine::compile(&raw.check()?, fidelity))
}

/// A bundled model's graphs and a scheme.
fn parts(model: &str, scheme: &str) -> Result<(Graphs, Scheme), Diagnostic> {
    let scheme: Scheme = scheme
        .parse()
        .map_err(|e: ParseSchemeError| Diagnostic::new(e.to_string()).hint(e.hint))?;
    let graphs = model::load_bundled(model)?.graphs(&BuildOptions::default());
    Ok((graphs.map_err(|e| Diagnostic::new(e.to_string()))?, scheme))
}

/// A bundled model under a scheme.
///
/// # Errors
/// An unknown id or scheme.
pub(super) fn plan(model: &str, scheme: &str) -> Result<Plan, Diagnostic> {
    let (graphs, scheme) = parts(model, scheme)?;
    Ok(Plan::of(graphs.parts(), &scheme))
}

/// A bundled model cut over the ranks of a tensor-parallel group.
///
/// # Errors
/// An unknown id or scheme, or heads that do not split.
pub(super) fn cut_plan(model: &str, scheme: &str, ranks: u64) -> Result<Plan, Diagnostic> {
    let (graphs, scheme) = parts(model, scheme)?;
    let parallel = Parallel { tensor: ranks, ..Parallel::ONE };
    let plan = Plan::parallel(graphs.parts(), &scheme, parallel);
    plan.map_err(|e| Diagnostic::new(e.to_string()))
}

/// Bytes of a bundled decoder's weights, by type.
///
/// # Errors
/// An unknown id or scheme.
pub(super) fn file_size(model: &str, scheme: &str) -> Result<FileSize, Diagnostic> {
    let (graphs, scheme) = parts(model, scheme)?;
    let graph = graphs.of(Phase::Decode);
    let graph = graph.ok_or_else(|| Diagnostic::new(format!("{model} does not decode")))?;
    Ok(FileSize::new(graph, &scheme))
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
