//! Time per token of Chinchilla-70B with a 4B draft, by formula and by seeded sampling (Chen et
//! al.).

use super::lab::{cut_plan, machine, summary};
use super::{Figure, Paper, Reproduction, rows};
use crate::cost::Request;
use crate::cost::speculative::{Cycle, simulate};
use crate::diagnostic::Diagnostic;
use crate::hardware::Fidelity;
use crate::units::Seconds;
use crate::workload::Acceptance;
use serde::Deserialize;

pub(super) const PAPER: Paper = Paper {
    name: "speculative-sampling",
    title: "Accelerating large language model decoding with speculative sampling",
    citation: "Chen et al., arXiv 2302.01318, table 1",
    run,
};

const DATA: &str = include_str!("data/speculative_sampling.csv");

/// Times of one step on 16 TPUv4, as published, and the drafted tokens.
const DRAFT: Seconds = Seconds::new(1.8e-3);
const TARGET: Seconds = Seconds::new(14.1e-3);
const GAMMA: u64 = 4;

/// Loops simulated: the mean is known to about 0.1 %.
const LOOPS: u64 = 400_000;
const SEED: u64 = 2302;

#[derive(Debug, Deserialize)]
struct Row {
    task: String,
    acceptance: f64,
    time_ms: f64,
    speed_up: f64,
}

fn run() -> Result<Reproduction, Diagnostic> {
    let draft = DRAFT * GAMMA as f64;
    let cycle = Cycle { gamma: GAMMA, draft, verify: TARGET, plain: TARGET };
    let mut figures = vec![];
    for row in rows::<Row>("speculative_sampling.csv", DATA)? {
        let acceptance = Acceptance::new(&[row.acceptance]);
        let acceptance = acceptance.map_err(|e| Diagnostic::new(e.to_string()))?;
        let formula = cycle.per_token(&acceptance).get() * 1e3;
        let loops = simulate(&acceptance, GAMMA, LOOPS, SEED);
        let simulated = cycle.time().get() * 1e3 / loops.tokens_per_loop();
        let what = |how: &str| format!("{}: time per token, {how}", row.task);
        let remark = format!("acceptance {}", row.acceptance);
        figures.push(Figure::new(what("formula"), "ms", row.time_ms, formula).remark(remark));
        let remark = format!("{LOOPS} loops of accept and reject, seed {SEED}");
        figures.push(Figure::new(what("sampled"), "ms", row.time_ms, simulated).remark(remark));
        let what = format!("{}: speed-up", row.task);
        let speed_up = cycle.speed_up(&acceptance);
        figures.push(Figure::new(what, "x", row.speed_up, speed_up));
    }
    let pays = cycle.break_even().unwrap_or(1.0);
    figures.push(Figure::beside("acceptance from which the draft pays", "", pays));
    figures.extend(own_steps()?);
    let remarks = vec![
        format!(
            "Published: draft {DRAFT} and target {TARGET} per step, K = {GAMMA}; a verify step takes as long as a plain one."
        ),
        "The paper plots acceptance rates without giving them as numbers: each is the constant \
         rate that its published time implies, so formula and sampling are held to one another, \
         and to the one set of step times."
            .to_owned(),
        format!(
            "Steps of the graphs: {CHIPS} chips as one tensor-parallel group, bf16, batch 1, {PROMPT} \
             prompt and {OUTPUT} generated tokens; the paper gives no length of its prompts. The \
             published times are longer: host time and exchanges dearer than rings, which are not \
             modelled, would weigh more on the draft, whose steps are short."
        ),
    ];
    Ok(Reproduction { figures, remarks })
}

/// The chips that draft and target run on together, and the request, whose prompt is ours.
const CHIPS: u64 = 16;
const PROMPT: u64 = 512;
const OUTPUT: u64 = 128;

/// The mean decode step of target and draft by their own graphs, and how they relate.
fn own_steps() -> Result<Vec<Figure>, Diagnostic> {
    let chip = machine("tpu-v4", Fidelity::Realistic)?;
    let request = Request::Generation { batch: 1, prompt: PROMPT, output: OUTPUT };
    let step = |model: &str| {
        let summary = summary(&cut_plan(model, "bf16", CHIPS)?, &chip, &request)?;
        let step = summary.decode_step.map(|time| time.get() * 1e3);
        step.ok_or_else(|| Diagnostic::new(format!("{model} does not decode")))
    };
    let (target, draft) = (step("chinchilla-70b")?, step("chinchilla-4b-draft")?);
    let [published_draft, published_target] = [DRAFT, TARGET].map(|time| time.get() * 1e3);
    let figure = |what: &str, unit, published, simulated| {
        Figure::new(what, unit, published, simulated).remark("by the graph's own step on 16 TPUv4")
    };
    Ok(vec![
        figure("target: time per token", "ms", published_target, target),
        figure("draft: time per token", "ms", published_draft, draft),
        figure("draft over target", "", published_draft / published_target, draft / target),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_per_token_are_within_0_02_ms_by_formula_and_by_sampling() {
        let found = run().expect("figures").figures;
        let times: Vec<&Figure> =
            found.iter().filter(|f| f.unit == "ms" && f.what.contains(", ")).collect();
        assert_eq!(times.len(), 6);
        for figure in times {
            let (published, simulated) = (figure.published, figure.simulated);
            let error = (published.expect("a figure") - simulated.expect("a figure")).abs();
            assert!(error <= 0.02, "{}: {published:?} {simulated:?}", figure.what);
        }
    }

    #[test]
    fn the_graphs_own_steps_are_faster_than_the_published_but_not_by_more_than_three() {
        let found = run().expect("figures").figures;
        let of = |what: &str| found.iter().find(|f| f.what == what).and_then(Figure::ratio);
        for what in ["target: time per token", "draft: time per token"] {
            let ratio = of(what).expect("a ratio");
            assert!((1.0 / 3.0..1.0).contains(&ratio), "{what}: {ratio}");
        }
    }
}
