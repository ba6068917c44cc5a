//! Memory traffic of attention: naive, fused, and in tiles (FlashAttention, Dao et al.).

use super::lab::machine;
use super::{Figure, Paper, Reproduction, rows};
use crate::cost::attention_traffic::{AttentionShape, FUSED, NAIVE, Pass};
use crate::diagnostic::Diagnostic;
use crate::hardware::Fidelity;
use crate::units::Bytes;
use serde::Deserialize;

pub(super) const PAPER: Paper = Paper {
    name: "flashattention",
    title: "FlashAttention: memory traffic of attention",
    citation: "Dao et al., arXiv 2205.14135, figure 2",
    run,
};

const DATA: &str = include_str!("data/flashattention.csv");

/// GPT-2 medium's attention in fp16.
const SHAPE: AttentionShape =
    AttentionShape { batch: 64, heads: 16, tokens: 1024, head_dim: 64, element: Bytes::new(2.0) };

#[derive(Debug, Deserialize)]
struct Row {
    form: String,
    gflop: f64,
    hbm_gb: f64,
    runtime_ms: f64,
}

fn run() -> Result<Reproduction, Diagnostic> {
    let gb = |bytes: Bytes| bytes.get() / 1e9;
    let mut figures = vec![];
    for (form, passes) in [("naive", NAIVE), ("fused", FUSED)] {
        for Pass { what, square, times } in passes {
            let shape = if *square { "N x N" } else { "N x d" };
            let bytes = gb(SHAPE.tensor(*square)) * *times as f64;
            figures.push(Figure::beside(format!("{form}, forward: {what} ({shape})"), "GB", bytes));
        }
        let total = gb(SHAPE.bytes(passes));
        figures.push(Figure::beside(format!("{form}, forward: all passes"), "GB", total));
    }
    let a100 = machine("a100-sxm-40gb", Fidelity::Ideal)?;
    let tiled = SHAPE.tiled_on(&a100);
    let tiled = tiled.ok_or_else(|| Diagnostic::new("no on-chip capacity is known"))?;
    let passes = format!("{} passes of N x d, tiles of {} keys", tiled.passes, tiled.block);
    figures.push(
        Figure::beside("tiles, forward: into the units", "GB", gb(tiled.inner)).remark(passes),
    );
    let held = if tiled.held { "the L2 holds what is read again" } else { "nothing is held" };
    figures.push(Figure::beside("tiles, forward: from DRAM", "GB", gb(tiled.dram)).remark(held));
    let why = "forward and backward together; the backward pass is not simulated";
    for row in rows::<Row>("flashattention.csv", DATA)? {
        for (what, unit, value) in
            [("HBM traffic", "GB", row.hbm_gb), ("runtime", "ms", row.runtime_ms)]
        {
            figures.push(Figure::out_of_reach(format!("{}: {what}", row.form), unit, value, why));
        }
        let why = "cannot be the whole batch: forward products alone are 275 GFLOP";
        let what = format!("{}: operations", row.form);
        figures.push(Figure::out_of_reach(what, "GFLOP", row.gflop, why));
    }
    Ok(Reproduction {
        figures,
        remarks: vec![
        "Published figures are forward and backward; inference runs the forward pass alone.".into(),
        "The ratio of operations, 75.2 / 66.6 = 1.13, is the recomputation of the backward pass: \
         forward, both forms do the same products."
            .into(),
    ],
    })
}
