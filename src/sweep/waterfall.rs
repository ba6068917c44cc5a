//! What techniques buy: each alone, then one behind the other, and how they interact.

use super::row::{Figures, Row, Status};
use crate::diagnostic::{Diagnostic, clip};
use crate::dtype::Lookup;
use crate::workload::{Axis, Scenario, Setting, Traffic};

/// A named change of a scenario: one or more settings that belong together.
#[derive(Debug, Clone)]
pub struct Change {
    /// As written: `quant=w4a16-g128`.
    pub label: String,
    /// Path, text and meaning of each setting.
    pub settings: Vec<(String, String, Setting)>,
}

/// A point's figures, free of what it was computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Whether there are figures.
    pub status: Status,
    /// Figures, unless an engine is missing.
    pub figures: Option<Figures>,
    /// The traffic they are for.
    pub traffic: Traffic,
}

/// What a change does on its own and on top of those before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The change.
    pub label: String,
    /// The base with this change only.
    pub alone: Outcome,
    /// The base with this change and all before it.
    pub together: Outcome,
}

/// A base and the changes on it, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Waterfall {
    /// Without any change.
    pub base: Outcome,
    /// The changes.
    pub stages: Vec<Stage>,
}

/// A figure that a waterfall follows; the smaller is the better, so that gains are quotients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Mean decode step.
    Tpot,
    /// Time to the first token.
    Ttft,
    /// Seconds per output token of the whole batch: the inverse of throughput.
    TimePerToken,
    /// Dollars per million output tokens.
    Cost,
    /// Joules per output token.
    Energy,
    /// Bytes at the worst moment.
    Memory,
}

/// The point of a scenario with fields of the hardware (path, value) changed.
pub type Evaluate<'a, E> = dyn Fn(&Scenario, &[(String, String)]) -> Result<Outcome, E> + 'a;

impl Change {
    /// A change from `path=value`, or several of them separated by spaces; `lookup` reads scheme files.
    ///
    /// # Errors
    /// An unknown path, or a value that does not fit it.
    pub fn parse(text: &str, lookup: Lookup<'_>) -> Result<Self, Diagnostic> {
        let mut settings = vec![];
        for part in text.split_whitespace() {
            let Some((path, value)) = part.split_once('=') else {
                let message = format!("--step {}: expected path=value", clip(text));
                let hint = "for instance --step quant=w4a16-g128, or several in one step: \
                            --step \"quant=w8a16 kv_cache.format=8\"";
                return Err(Diagnostic::new(message).hint(hint));
            };
            let origin = format!("--step {}", clip(text));
            let axis = Axis::new(path, vec![value.to_owned()], &origin, lookup)?;
            let values = axis.values.into_iter();
            settings.extend(values.map(|(text, setting)| (axis.path.clone(), text, setting)));
        }
        if settings.is_empty() {
            let message = "--step is empty".to_owned();
            return Err(Diagnostic::new(message).hint("for instance --step quant=w4a16-g128"));
        }
        Ok(Self { label: text.trim().to_owned(), settings })
    }
}

impl Outcome {
    /// The figures of a point.
    pub fn of(row: &Row<'_>) -> Self {
        Self { status: row.status.clone(), figures: row.figures, traffic: row.traffic }
    }

    /// The value of a metric; `None` where it has no figure.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let figures = self.figures.as_ref()?;
        let (summary, economics) = (&figures.summary, &figures.economics);
        let tokens = self.traffic.batch as f64 * self.traffic.output as f64;
        match metric {
            Metric::Tpot => summary.decode_step.map(|t| t.get()),
            Metric::Ttft => summary.prefill.map(|t| t.get()),
            Metric::TimePerToken => Some(summary.total.get() / tokens),
            Metric::Cost => economics.per_million.map(|d| d.get()),
            Metric::Energy => economics.energy_per_token.map(|e| e.get()),
            Metric::Memory => Some(summary.memory.total().get()),
        }
    }
}

impl Waterfall {
    /// Evaluates a scenario with no change, with each alone, and with each on top of the others.
    ///
    /// # Errors
    /// What `evaluate` returns, and settings that do not go together.
    pub fn new<E: From<Diagnostic>>(
        scenario: &Scenario,
        changes: &[Change],
        evaluate: &Evaluate<'_, E>,
    ) -> Result<Self, E> {
        let point = |changes: &[Change]| -> Result<Outcome, E> {
            let mut changed = scenario.clone();
            changed.axes.clear();
            let mut hardware = vec![];
            for (path, text, setting) in changes.iter().flat_map(|c| &c.settings) {
                changed.set(setting)?;
                if let Some(path) = path.strip_prefix("hardware.") {
                    hardware.push((path.to_owned(), text.clone()));
                }
            }
            evaluate(&changed, &hardware)
        };
        let base = point(&[])?;
        let stages = (0..changes.len()).map(|i| {
            let label = changes[i].label.clone();
            let (alone, together) = (point(&changes[i..=i])?, point(&changes[..=i])?);
            Ok(Stage { label, alone, together })
        });
        Ok(Self { base, stages: stages.collect::<Result<_, E>>()? })
    }

    /// The value before a stage: that of the stage before it, or the base's.
    pub fn before(&self, stage: usize, metric: Metric) -> Option<f64> {
        match stage {
            0 => self.base.value(metric),
            i => self.stages[i - 1].together.value(metric),
        }
    }

    /// How many times better a stage is on its own, and on top of those before it.
    pub fn gains(&self, stage: usize, metric: Metric) -> (Option<f64>, Option<f64>) {
        let gain = |from: Option<f64>, to: Option<f64>| Some(from? / to?);
        let at = &self.stages[stage];
        (
            gain(self.base.value(metric), at.alone.value(metric)),
            gain(self.before(stage, metric), at.together.value(metric)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload;

    fn constant(scenario: &Scenario, _: &[(String, String)]) -> Result<Outcome, Diagnostic> {
        let status = Status::Refused(scenario.scheme.name().to_owned());
        Ok(Outcome { status, figures: None, traffic: scenario.traffic })
    }

    #[test]
    fn stages_see_their_own_change_alone_and_all_before_it_together() {
        let none = |name: &str| Err(Diagnostic::new(name));
        let chat = workload::load("chat", &none).expect("bundled");
        let changes = ["quant=w8a16", "kv_cache.format=8 traffic.batch=32"]
            .map(|text| Change::parse(text, &none).expect("two settings"));
        let fall = Waterfall::new(&chat, &changes, &constant).expect("evaluates");
        let schemes = |o: &Outcome| o.status.text().to_owned();
        assert_eq!(schemes(&fall.base), "16bit");
        assert_eq!(schemes(&fall.stages[0].together), "w8a16");
        assert_eq!(schemes(&fall.stages[1].alone), "16bit-kv8");
        assert_eq!(schemes(&fall.stages[1].together), "w8a16-kv8");
        let turned = [changes[1].clone(), changes[0].clone()];
        let fall_turned = Waterfall::new(&chat, &turned, &constant).expect("evaluates");
        assert_eq!(schemes(&fall_turned.stages[1].together), "w8a16-kv8");
        assert_eq!(fall.stages[1].alone.traffic.batch, 32);
        assert_eq!(fall.stages[0].together.traffic.batch, chat.traffic.batch);
    }

    #[test]
    fn nonsense_is_refused() {
        let none = |name: &str| Err(Diagnostic::new(name));
        for text in
            ["", "quant", "quant=w5a16", "quant=none.yaml", "colour=blue", "traffic.batch=0"]
        {
            assert!(Change::parse(text, &none).is_err(), "{text}");
        }
    }
}
