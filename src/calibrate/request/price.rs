//! The time of a measured request, by the cost model.

use super::table::{Metric, RequestRow};
use crate::calibrate::names::model_of;
use crate::cost::{Estimator, Request, Silicon, Summary};
use crate::dtype::Scheme;
use crate::graph::shard::Parallel;
use crate::hardware::Machine;
use crate::mapping::Plan;
use crate::model::{self, Architecture, BuildOptions};

/// Why a request has no predicted time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unpriced(String);

impl Unpriced {
    /// Too few rows, and why one of them has no time where one has none.
    pub(super) fn few(rows: usize, count: usize, least: usize, left: Option<&(u64, Self)>) -> Self {
        let why = left.map_or(String::new(), |(line, why)| format!("; line {line}: {why}"));
        Self(format!(
            "{rows} rows of requests are too few for {count} parameters; at least {least} are needed{why}"
        ))
    }
}

/// A measured request bound to a machine.
#[derive(Debug, Clone)]
pub struct Priced<'a> {
    /// The row.
    pub row: &'a RequestRow,
    machine: &'a Machine,
    plan: Plan,
    request: Request,
}

/// Names of precisions that are not schemes'.
const PRECISIONS: &[(&str, &str)] =
    &[("FP16", "16bit"), ("BF16", "16bit"), ("F16", "16bit"), ("FP8 W8A8+FP8 KV", "fp8-kvfp8")];

impl<'a> Priced<'a> {
    /// Compiles the row's model for its devices.
    ///
    /// # Errors
    /// An unknown model or precision, or a model that does not go over so many devices.
    pub fn new(row: &'a RequestRow, machine: &'a Machine) -> Result<Self, Unpriced> {
        let failed = |e: &dyn std::fmt::Display| Unpriced(e.to_string());
        let ids: Vec<&str> = model::bundled::ids().collect();
        let id = model_of(&row.model, &ids)
            .ok_or_else(|| Unpriced(format!("no bundled model is `{}`", row.model)))?;
        let model: Architecture = model::load_bundled(id).map_err(|d| failed(&d.message))?;
        let named = PRECISIONS.iter().find(|(known, _)| *known == row.precision);
        let scheme =
            named.map_or_else(|| row.precision.to_ascii_lowercase(), |(_, s)| (*s).to_owned());
        let scheme: Scheme =
            scheme.parse().map_err(|_| Unpriced(format!("no scheme is `{}`", row.precision)))?;
        let graphs = model.graphs(&BuildOptions::default()).map_err(|e| failed(&e))?;
        let (tensor, pipeline) = (row.tensor, row.pipeline);
        let parallel = Parallel { tensor, pipeline, ..Parallel::ONE };
        let plan = Plan::parallel(graphs.parts(), &scheme, parallel).map_err(|e| failed(&e))?;
        let (batch, prompt) = (row.batch, row.prompt.max(1));
        let request = match row.metric {
            Metric::Prompt => Request::Prefill { batch, context: prompt },
            _ => Request::Generation { batch, prompt, output: row.output.max(1) },
        };
        request.steps(&plan.footprint).map_err(|e| failed(&e))?;
        Ok(Self { row, machine, plan, request })
    }

    /// Seconds of what the row measures, and what 80 % of measurements lie between.
    ///
    /// # Errors
    /// A device without an engine or link for it.
    pub fn predict(&self, silicon: Option<&Silicon>) -> Result<(f64, [f64; 2]), Unpriced> {
        let failed = |e: &dyn std::fmt::Display| Unpriced(e.to_string());
        let estimator = Estimator::new(&self.plan, self.machine).map_err(|e| failed(&e))?;
        let estimator = match silicon {
            Some(silicon) => estimator.on(silicon),
            None => estimator,
        };
        let summary = estimator.summary(&self.request).map_err(|e| failed(&e))?;
        self.picked(&summary).ok_or_else(|| Unpriced("the row has no such step".to_owned()))
    }

    fn picked(&self, summary: &Summary) -> Option<(f64, [f64; 2])> {
        let ranges = summary.ranges.unwrap_or_default();
        let first = summary.prefill.map(|t| (t, ranges.prefill.unwrap_or([t; 2])));
        let step = summary.decode_step.map(|t| (t, ranges.decode_step.unwrap_or([t; 2])));
        let (time, range) = match self.row.metric {
            Metric::FirstToken | Metric::Prompt => first?,
            Metric::PerToken | Metric::Decode => step?,
            Metric::Output | Metric::OutputPerDevice => {
                let (first, first_range) = first?;
                let steps = (self.row.output - 1) as f64;
                let (step, step_range) = step.unwrap_or_default();
                let range = std::array::from_fn(|i| first_range[i] + step_range[i] * steps);
                (first + step * steps, range)
            }
        };
        Some((time.get(), range.map(|t| t.get())))
    }
}
