//! What proposes tokens, compiled: a plan that runs once for each drafted token, and what it keeps
//! in memory beside the target.

use crate::diagnostic::Diagnostic;
use crate::dtype::Scheme;
use crate::graph::shard::Parallel;
use crate::graph::{Graph, GraphError};
use crate::mapping::Plan;
use crate::model::{Architecture, BuildOptions, Graphs};
use crate::tensor::{Phases, Placement};
use crate::units::Bytes;
use crate::workload::{Acceptance, Drafter, Gamma, Speculative};

/// A drafter beside its target (A30).
#[derive(Debug, Clone)]
pub struct DraftPlan {
    /// What drafts.
    pub drafter: Drafter,
    /// What runs for each drafted token; `None` where drafts cost nothing.
    pub plan: Option<Plan>,
    /// All weights that the target does not have.
    pub weights: Bytes,
    /// KV caches like the plan's that are kept.
    pub caches: u64,
    /// How often the plan runs over the prompt.
    pub prefills: u64,
}

/// Speculative decoding, checked and compiled.
#[derive(Debug, Clone)]
pub struct Speculated {
    /// What drafts.
    pub draft: DraftPlan,
    /// Tokens drafted in a loop.
    pub gamma: Gamma,
    /// How often they are accepted.
    pub acceptance: Acceptance,
}

/// The target of a draft: a model under techniques.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The model.
    pub architecture: &'a Architecture,
    /// How its graph is built.
    pub options: &'a BuildOptions,
    /// The scheme of target and draft.
    pub scheme: &'a Scheme,
    /// How devices share the work of both.
    pub parallel: Parallel,
    /// Where both keep weights and cache.
    pub placement: Placement,
}

impl Target<'_> {
    /// The plan of a graph beside the target, cut as the target is.
    fn plan<'g>(
        &self,
        parts: impl IntoIterator<Item = (Phases, &'g Graph)>,
    ) -> Result<Plan, Diagnostic> {
        let plan = Plan::parallel(parts, self.scheme, self.parallel);
        plan.map(|plan| plan.placed(self.placement)).map_err(|e| {
            let hint = "the draft is cut over the same devices as its target";
            Diagnostic::new(format!("draft: {e}")).hint(hint)
        })
    }
}

impl Speculated {
    /// Compiles a choice for a target; `load` finds a draft model. `None` for plain decoding.
    ///
    /// # Errors
    /// Choices that do not go together, an unknown draft, or one with another vocabulary.
    pub fn new(
        choice: &Speculative,
        target: Target<'_>,
        load: &dyn Fn(&str) -> Result<Architecture, Diagnostic>,
    ) -> Result<Option<Self>, Diagnostic> {
        let Some((drafter, gamma, acceptance)) = choice.checked()? else { return Ok(None) };
        let heads = matches!(drafter, Drafter::Medusa(_) | Drafter::Mtp(_));
        if target.parallel.pipeline > 1 && heads {
            let message = "heads that draft over the stages of a pipeline are not modelled";
            let hint = "use --tp and --dp with them, or a draft model, which is cut as its target";
            return Err(Diagnostic::new(message).hint(hint).at(choice.place.clone()));
        }
        let draft = DraftPlan::new(drafter, target, load).map_err(|d| match d.place {
            Some(_) => d,
            None => d.at(choice.place.clone()),
        })?;
        Ok(Some(Self { draft, gamma, acceptance: acceptance.clone() }))
    }
}

impl DraftPlan {
    fn new(
        drafter: &Drafter,
        target: Target<'_>,
        load: &dyn Fn(&str) -> Result<Architecture, Diagnostic>,
    ) -> Result<Self, Diagnostic> {
        let wired =
            |graph: Result<Graph, GraphError>| graph.map_err(|e| Diagnostic::new(e.to_string()));
        let Target { architecture, options, .. } = target;
        let (plan, weights, caches, prefills) = match drafter {
            Drafter::PromptLookup => (None, Bytes::ZERO, 0, 0),
            Drafter::Model(name) => {
                let plan = model(&load(name)?, target)?;
                let weights = plan.footprint.weights.total;
                (Some(plan), weights, 1, 1)
            }
            Drafter::Medusa(heads) => {
                let head = wired(architecture.medusa_head(options))?;
                let plan = target.plan([(Phases::DECODER, &head)])?;
                let weights = plan.footprint.weights.total * *heads as f64;
                (Some(plan), weights, 0, 0)
            }
            Drafter::Mtp(_) if architecture.encoder.is_some() => {
                let message = format!("{} has an encoder", architecture.id);
                let hint = "multi-token-prediction modules are those of decoder-only models";
                return Err(Diagnostic::new(message).hint(hint));
            }
            Drafter::Mtp(modules) => {
                let module = architecture.mtp_modules(options);
                let module = module.map_err(|e| Diagnostic::new(e.to_string()))?;
                let own = own_weights(&module, target)?;
                let plan = target.plan(module.parts())?;
                (Some(plan), own * *modules as f64, *modules, *modules)
            }
        };
        Ok(Self { drafter: drafter.clone(), plan, weights, caches, prefills })
    }
}

/// The plan of a draft model with the target's vocabulary.
fn model(draft: &Architecture, target: Target<'_>) -> Result<Plan, Diagnostic> {
    let (ours, theirs) = (target.architecture.vocabulary, draft.vocabulary);
    if ours != theirs {
        let (target, draft) = (&target.architecture.id, &draft.id);
        let message = format!(
            "draft {draft} has a vocabulary of {theirs} tokens, target {target} one of {ours}"
        );
        let hint = "a draft proposes tokens of the target: both need the same vocabulary";
        return Err(Diagnostic::new(message).hint(hint));
    }
    same_encoder(draft, target.architecture)?;
    let graphs = draft.graphs(target.options).map_err(|e| Diagnostic::new(e.to_string()))?;
    target.plan(graphs.parts())
}

/// A draft sees what its target sees: both behind an encoder of the same input, or neither.
fn same_encoder(draft: &Architecture, target: &Architecture) -> Result<(), Diagnostic> {
    let seen = |model: &Architecture| model.encoder.map(|e| (e.input, e.start_tokens));
    if seen(draft) == seen(target) {
        return Ok(());
    }
    let (target, draft) = (&target.id, &draft.id);
    let message = format!("draft {draft} and target {target} do not begin alike");
    let hint = "both need an encoder of the same input and the same start tokens, or none";
    Err(Diagnostic::new(message).hint(hint))
}

/// Weights of a module that the target does not have under the same name.
fn own_weights(module: &Graphs, target: Target<'_>) -> Result<Bytes, Diagnostic> {
    let graphs = target.architecture.graphs(target.options);
    let graphs = graphs.map_err(|e| Diagnostic::new(e.to_string()))?;
    let alone = target.plan(graphs.parts())?;
    let parts = graphs.parts().chain(module.parts());
    let both = target.plan(parts)?;
    Ok(both.footprint.weights.total - alone.footprint.weights.total)
}
