//! One write head: time per token of multi-head and multi-query decoding (Shazeer).

use super::lab::machine;
use super::{Figure, Paper, Reproduction, rows};
use crate::cost::{Estimator, Request};
use crate::diagnostic::Diagnostic;
use crate::dtype::Scheme;
use crate::graph::shard::Parallel;
use crate::hardware::Fidelity;
use crate::mapping::Plan;
use crate::model::{Architecture, BuildOptions, HeadForm, WhatIf};
use crate::yaml::Source;
use serde::Deserialize;

pub(super) const PAPER: Paper = Paper {
    name: "mqa",
    title: "Fast transformer decoding: one write head is all you need",
    citation: "Shazeer, arXiv 1911.02150, table 2",
    run,
};

const PUBLISHED: &str = include_str!("data/mqa.csv");
const MODEL: &str = include_str!("data/mqa_transformer.yaml");

/// Sequences on the board, its chips, tokens in and out.
const BATCH: u64 = 1024;
const CHIPS: u64 = 4;
const TOKENS: u64 = 128;

/// Inner width that gives the multi-query model its parameters back.
const MULTI_QUERY_INNER: u64 = 5440;

#[derive(Debug, Deserialize)]
struct Row {
    heads: HeadsName,
    part: String,
    us: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HeadsName {
    Mha,
    Mqa,
}

/// The model of a row.
fn model(heads: HeadsName) -> Result<Architecture, Diagnostic> {
    let mut model =
        Architecture::from_yaml(&Source::new("src/reproduce/data/mqa_transformer.yaml", MODEL))?;
    if heads == HeadsName::Mqa {
        let heads: HeadForm = "mqa".parse()?;
        model = model.what_if(&WhatIf { heads: Some(heads), ..WhatIf::default() })?;
        model.ffn.inner = MULTI_QUERY_INNER;
    }
    Ok(model)
}

/// Seconds of the encoder over a batch and of a decode step at the padded length.
fn times(heads: HeadsName) -> Result<(f64, f64), Diagnostic> {
    let text = |e: &dyn std::fmt::Display| Diagnostic::new(e.to_string());
    let tpu = machine("tpu-v2", Fidelity::Realistic)?;
    let graphs = model(heads)?.graphs(&BuildOptions::default()).map_err(|e| text(&e))?;
    let parallel = Parallel { data: CHIPS, ..Parallel::ONE };
    let plan = Plan::parallel(graphs.parts(), &Scheme::sixteen_bit(), parallel);
    let plan = plan.map_err(|e| text(&e))?;
    let estimator = Estimator::new(&plan, &tpu).map_err(|e| text(&e))?;
    let request = Request::Generation { batch: BATCH, prompt: TOKENS, output: 2 };
    let encode = estimator.summary(&request).map_err(|e| text(&e))?.encode;
    let step = Request::Generation { batch: BATCH, prompt: TOKENS, output: TOKENS };
    let step = estimator.summary(&step).map_err(|e| text(&e))?.decode_step;
    Ok((encode.unwrap_or_default().get(), step.unwrap_or_default().get()))
}

fn run() -> Result<Reproduction, Diagnostic> {
    let mut figures = vec![];
    let (multi_head, multi_query) = (times(HeadsName::Mha)?, times(HeadsName::Mqa)?);
    let mut decoders = vec![];
    for row in rows::<Row>("mqa.csv", PUBLISHED)? {
        let (encode, step) = if row.heads == HeadsName::Mha { multi_head } else { multi_query };
        let name = if row.heads == HeadsName::Mha { "multi-head" } else { "multi-query" };
        let seconds = match row.part.as_str() {
            "encoder" => encode / TOKENS as f64,
            _ => step,
        };
        let us = seconds * 1e6 / BATCH as f64;
        if row.part == "decoder" {
            decoders.push((row.us, us));
        }
        let what = format!("{name}, {}: time per output token", row.part);
        figures.push(Figure::new(what, "us", row.us, us));
    }
    if let [mha, mqa] = decoders[..] {
        let what = "decoder: multi-head / multi-query";
        let why = "an ideal roofline gains what the cache's bytes take, which the published step of \
                   multi-head attention exceeds";
        figures.push(Figure::new(what, "x", mha.0 / mqa.0, mha.1 / mqa.1).remark(why));
    }
    let remarks = vec![
        "Batch 1024 on 8 cores (4 chips, each with a quarter of the batch), 128 tokens in and out. The \
         published cache is padded to 128 positions in every step; here a step attends to what is \
         there."
            .to_owned(),
        "Positions are a bias by distance where the paper adds sinusoids; neither has weights to speak of.".to_owned(),
        "The encoder keeps a key head per query head; the paper's has one there too.".to_owned(),
        "The direction and the bound agree: multi-head decoding is bound by reading keys and values.".to_owned(),
    ];
    Ok(Reproduction { figures, remarks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_models_have_the_papers_parameters() {
        let total = |heads| model(heads).expect("a model").parameters().total as f64;
        assert!((total(HeadsName::Mha) / 211e6 - 1.0).abs() < 0.01);
        // The encoder keeps a key head per query head: 6 layers x 2 x 1024 x 896 weights more.
        let encoder = 6.0 * 2.0 * 1024.0 * 896.0;
        assert!(((total(HeadsName::Mqa) - encoder) / 211e6 - 1.0).abs() < 0.01);
    }

    #[test]
    fn one_key_head_is_faster_in_the_decoder() {
        let (mha, mqa) =
            (times(HeadsName::Mha).expect("runs"), times(HeadsName::Mqa).expect("runs"));
        assert!(mha.1 / mqa.1 > 1.5, "{mha:?} {mqa:?}");
        assert!((mha.0 / mqa.0 - 1.0).abs() < 0.1, "{mha:?} {mqa:?}");
    }
}
