//! Speculative decoding of `cosim estimate`: its arguments and its rows.

use super::case::Case;
use super::catalog;
use super::error::Error;
use super::files;
use crate::cost::CostReport;
use crate::cost::speculative::{Optimum, Speculated, Speculation, Speculator, Target};
use crate::diagnostic::Diagnostic;
use crate::model::BuildOptions;
use crate::report::EstimateContext;
use crate::workload::{Acceptance, Drafter, Gamma, Speculative};
use clap::Args;
use std::path::{Path, PathBuf};

/// Who drafts, how much, and how often it is accepted.
#[derive(Debug, Args)]
pub struct SpeculateArgs {
    /// Draft model of speculative decoding: id, model YAML or config.json
    #[arg(long, value_name = "MODEL", conflicts_with = "speculate")]
    draft: Option<String>,
    /// Speculation without a draft model: prompt-lookup, medusa:HEADS, mtp:MODULES
    #[arg(long, value_name = "HOW")]
    speculate: Option<String>,
    /// Tokens drafted in a loop, or auto for the fastest [default: auto]
    #[arg(long, allow_negative_numbers = true)]
    gamma: Option<String>,
    /// Acceptance rate, or one for each position: 0.8,0.7,0.6,0.5
    #[arg(long, allow_negative_numbers = true)]
    acceptance: Option<String>,
    /// Acceptance rates as measured: the output of `cosim run --draft --json`
    #[arg(long, value_name = "FILE", conflicts_with = "acceptance")]
    acceptance_from: Option<PathBuf>,
    /// Speed-up over acceptance and gamma, as .svg, .csv or .json; may be given several times
    #[arg(long, value_name = "FILE")]
    pub surface: Vec<PathBuf>,
}

impl SpeculateArgs {
    /// The choice, compiled for the case; `None` for plain decoding.
    pub fn load(&self, case: &Case, options: &BuildOptions) -> Result<Option<Speculated>, Error> {
        let drafter = match (&self.draft, &self.speculate) {
            (Some(model), _) => Some(Drafter::Model(model.clone())),
            (None, Some(how)) => Some(how.parse()?),
            (None, None) => None,
        };
        let rates = self.acceptance.is_some() || self.acceptance_from.is_some();
        let asked = self.gamma.is_some() || rates || !self.surface.is_empty();
        if drafter.is_none() && asked {
            let message = "--gamma, --acceptance and --surface need something that drafts";
            return Err(Diagnostic::new(message).hint("--draft MODEL, or --speculate HOW").into());
        }
        let gamma = self.gamma.as_deref().map_or(Ok(Gamma::Auto), str::parse)?;
        let acceptance = match &self.acceptance_from {
            Some(path) => Some(measured(path)?),
            None => self.acceptance.as_deref().map(str::parse).transpose()?,
        };
        if drafter.is_some() && case.request.steps(&case.plan.footprint)?.decode.is_none() {
            let message = "the request has no decode phase to speculate in";
            return Err(Diagnostic::new(message).hint("more than one token of output").into());
        }
        let (architecture, scheme) = (&case.architecture, &case.plan.scheme);
        let (parallel, placement) = (case.plan.parallel, case.plan.placement);
        let target = Target { architecture, options, scheme, parallel, placement };
        let choice = Speculative { drafter, gamma, acceptance, place: None };
        Ok(Speculated::new(&choice, target, &catalog::architecture)?)
    }
}

/// The acceptance rates that `cosim run --draft --json` wrote.
fn measured(path: &Path) -> Result<Acceptance, Error> {
    let shown = path.display();
    let source = files::read(&path.to_string_lossy())?;
    let refused = |why: &str| {
        let hint = "the output of `cosim run MODEL --draft MODEL --generate N --json`";
        Diagnostic::new(format!("{shown}: {why}")).hint(hint)
    };
    let json: serde_json::Value =
        serde_json::from_str(&source.text).map_err(|e| refused(&format!("not JSON: {e}")))?;
    let rates = json.get("acceptance").and_then(|a| a.as_array());
    let rates = rates.ok_or_else(|| refused("no list `acceptance`"))?;
    let rates: Option<Vec<f64>> = rates.iter().map(serde_json::Value::as_f64).collect();
    let rates = rates.ok_or_else(|| refused("`acceptance` holds what is no number"))?;
    if rates.is_empty() {
        return Err(refused("`acceptance` is empty: no draft was looked at").into());
    }
    // Rates of positions, also where there is one.
    match rates.as_slice() {
        [one] if (0.0..=1.0).contains(one) => Ok(Acceptance::PerPosition(rates)),
        _ => Ok(Acceptance::new(&rates).map_err(|e| refused(&e.to_string()))?),
    }
}

/// Puts the figures under speculation in place of the plain ones.
pub fn apply(
    case: &Case,
    report: &mut CostReport,
) -> Result<Option<(Speculation, Optimum)>, Error> {
    let Some(what) = &case.speculated else { return Ok(None) };
    let estimator = case.estimator()?;
    let speculator = Speculator::new(estimator.clone(), what)?;
    let (summary, found) = speculator.summary(&case.request)?;
    report.capacity = estimator.capacity(&case.request, &summary.memory);
    report.summary = summary;
    Ok(found.zip(speculator.optimal(&case.request)?))
}

/// Rows of the table; none without speculation.
pub fn rows(context: &EstimateContext<'_>) -> Vec<[String; 3]> {
    let Some((found, best)) = context.speculation.filter(|_| context.shows_times) else {
        return vec![];
    };
    let cycle = found.cycle;
    let row = |name: &str, value: String, remark: String| [name.to_owned(), value, remark];
    let gamma = cycle.gamma;
    vec![
        row("  tokens / loop", format!("{:.3}", found.tokens), format!("gamma {gamma}")),
        row("  draft", cycle.draft.to_string(), format!("{gamma} draft steps")),
        row("  verify", cycle.verify.to_string(), format!("a step of {} tokens", gamma + 1)),
        row("  without draft", cycle.plain.to_string(), "TPOT of plain decoding".to_owned()),
        row("  speed-up", format!("{:.3} x", found.speed_up), String::new()),
        row(
            "  break-even",
            found.break_even.map_or("-".to_owned(), |a| format!("{a:.3}")),
            "acceptance from which this gamma pays".to_owned(),
        ),
        row("  optimal gamma", best.gamma.to_string(), format!("{:.3} x", best.speed_up)),
    ]
}
