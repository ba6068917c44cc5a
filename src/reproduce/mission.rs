//! The article that the mission starts from: sizes under quantization, cost by model size, and the
//! price of an API against hosting the model.

use super::lab::{machine, plan, summary};
use super::{Figure, Paper, Reproduction};
use crate::cost::{ApiPrice, Economics, Request};
use crate::diagnostic::Diagnostic;
use crate::hardware::Fidelity;
use crate::units::{Bytes, Dollars};

pub(super) const PAPER: Paper = Paper {
    name: "mission",
    title: "Rules of thumb for the cost of LLM inference",
    citation: "folklore of the field: INT8 4x and INT4 8x smaller than FP32, 100-200B models 10x \
               the cost of 7-15B ones, GPT-4 8k API at $0.03 in and $0.06 out per 1k tokens (2023)",
    run,
};

/// A chat turn: means of the Azure conversation trace of 2023.
const CHAT: Request = Request::Generation { batch: 8, prompt: 1155, output: 211 };
const DEVICE: &str = "h100-sxm";

fn run() -> Result<Reproduction, Diagnostic> {
    let mut figures = vec![
        smaller("w8a16", 4.0, "embedding and head stay 16-bit")?,
        smaller("w4a16-g128", 8.0, "a scale per 128 weights; embedding and head stay 16-bit")?,
    ];
    for (small, large) in [("llama-2-7b", "gpt-3-175b"), ("llama-2-13b", "gpt-3-175b")] {
        let ratio = dollars(large)? / dollars(small)?;
        let what = format!("cost per token, {large} over {small}");
        figures.push(Figure::new(what, "x", 10.0, ratio).remark("the ratio of the weights"));
    }
    let api = ApiPrice { input: Dollars::new(0.03), output: Dollars::new(0.06) };
    let asked = api.of(&CHAT).map_or(0.0, Dollars::get);
    for model in ["llama-2-70b", "gpt-3-175b"] {
        let own = dollars(model)? * 211e-6;
        let what = format!("a chat turn: API price against hosting {model}");
        let remark = format!("the API asks {:.1} x the cost of the hardware", asked / own);
        figures.push(Figure::new(what, "$", asked, own).remark(remark));
    }
    let remarks = vec![
        format!("Hosting: {DEVICE} at its default hourly price, batch 8, every hour sold."),
        "A model beyond one device counts as split without loss: devices x time is as on one."
            .to_owned(),
    ];
    Ok(Reproduction { figures, remarks })
}

fn smaller(scheme: &str, published: f64, why: &str) -> Result<Figure, Diagnostic> {
    let weights = |scheme: &str| -> Result<Bytes, Diagnostic> {
        Ok(plan("llama-2-7b", scheme)?.footprint.weights.total)
    };
    let ratio = weights("fp32")? / weights(scheme)?;
    Ok(Figure::new(format!("Llama-2-7B: fp32 over {scheme}"), "x", published, ratio).remark(why))
}

/// Dollars per million output tokens of the chat turn.
fn dollars(model: &str) -> Result<f64, Diagnostic> {
    let machine = machine(DEVICE, Fidelity::Realistic)?;
    let price = machine.price(None).map_err(Diagnostic::from)?.price.value;
    let summary = summary(&plan(model, "16bit")?, &machine, &CHAT)?;
    let economics = Economics::new(&CHAT, &summary, 1, None, Some(price));
    let cost = economics.per_million.map(Dollars::get);
    cost.ok_or_else(|| Diagnostic::new(format!("{DEVICE} gives no cost per token")))
}
