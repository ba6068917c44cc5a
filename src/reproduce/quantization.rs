//! What quantization buys in time and memory: GPTQ, SmoothQuant, LLM.int8(), AWQ, KIVI.

use super::lab::{cut_plan, machine, plan, summary};
use super::{Figure, Paper, Reproduction, rows};
use crate::cost::{Request, Summary};
use crate::diagnostic::Diagnostic;
use crate::hardware::Fidelity;
use crate::units::Seconds;
use serde::Deserialize;

pub(super) const PAPER: Paper = Paper {
    name: "quantization",
    title: "Quantization: time and memory of GPTQ, SmoothQuant, LLM.int8() and AWQ",
    citation: "Frantar et al., arXiv 2210.17323; Xiao et al., arXiv 2211.10438; Dettmers et al., arXiv \
               2208.07339; Lin et al., arXiv 2306.00978, with tinychat's README; Liu et al., arXiv \
               2402.02750",
    run,
};

const TIME: &str = include_str!("data/quantization_time.csv");
const MEMORY: &str = include_str!("data/quantization_memory.csv");

/// A step at 16 bits and quantized.
#[derive(Debug, Deserialize)]
struct Timed {
    paper: String,
    model: String,
    hardware: String,
    phase: String,
    batch: u64,
    prompt: u64,
    output: u64,
    devices: u64,
    plain_ms: f64,
    scheme: String,
    quantized_devices: u64,
    quantized_ms: f64,
}

/// Memory of a model.
#[derive(Debug, Deserialize)]
struct Sized {
    paper: String,
    model: String,
    prompt: u64,
    scheme: String,
    gb: f64,
}

/// KIVI's headline figures (abstract): 2-bit KV cache, 16-bit weights, Llama 2 7B.
const KIVI: [(&str, f64); 4] = [
    ("peak memory, reduced", 2.6),
    ("batch, at most", 4.0),
    ("throughput, at least", 2.35),
    ("throughput, at most", 3.47),
];

fn run() -> Result<Reproduction, Diagnostic> {
    let mut figures = vec![];
    for row in rows::<Timed>("quantization_time.csv", TIME)? {
        figures.extend(timed(&row)?);
    }
    for row in rows::<Sized>("quantization_memory.csv", MEMORY)? {
        figures.push(sized(&row)?);
    }
    for (what, value) in KIVI {
        let why = "depends on the lengths of its requests, drawn from ShareGPT and not listed";
        figures.push(Figure::out_of_reach(format!("KIVI: {what}"), "x", value, why));
    }
    let remarks = vec![
        "Simulated at the device's realistic rates; nothing is fitted to these figures.".to_owned(),
        "GPTQ and LLM.int8() place layers on devices one behind the other: a token takes the time of one \
         device that held them all, without the hand-over."
            .to_owned(),
        "Published 16-bit times are those of PyTorch or FasterTransformer of their year: where these add host \
         time to every layer, the published speed-up differs from the ratio of bytes."
            .to_owned(),
    ];
    Ok(Reproduction { figures, remarks })
}

fn timed(row: &Timed) -> Result<[Figure; 3], Diagnostic> {
    let plain = milliseconds(row, "fp16", row.devices)?;
    let quantized = milliseconds(row, &row.scheme, row.quantized_devices)?;
    let tokens = if row.phase == "decode" { String::new() } else { format!(", {}", row.prompt) };
    let batch = if row.batch > 1 { format!(", batch {}", row.batch) } else { String::new() };
    let set_up =
        format!("{}: {} on {}, {}{tokens}{batch}", row.paper, row.model, row.hardware, row.phase);
    let devices = |n: u64| if n > 1 { format!("{n} devices") } else { String::new() };
    let speed_up = Figure::new(
        format!("{set_up}: speed-up"),
        "x",
        row.plain_ms / row.quantized_ms,
        plain / quantized,
    );
    Ok([
        Figure::new(format!("{set_up}: fp16"), "ms", row.plain_ms, plain)
            .remark(devices(row.devices)),
        Figure::new(format!("{set_up}: {}", row.scheme), "ms", row.quantized_ms, quantized)
            .remark(devices(row.quantized_devices)),
        speed_up.remark(why(row)),
    ])
}

/// Why the published speed-up cannot follow from bytes and operations alone.
fn why(row: &Timed) -> &'static str {
    match (row.paper.as_str(), row.hardware.as_str()) {
        ("LLM.int8()", _) => {
            "outlier columns are found and multiplied apart in fp16, in kernels whose host time a roofline \
             does not have"
        }
        ("GPTQ", "rtx-a6000") => "fp16 crosses 8 devices over PCIe, 3 bits 2",
        ("SmoothQuant", _) if row.devices == row.quantized_devices => {
            "the published int8 products reach a smaller share of their engine's peak than the fp16 ones"
        }
        _ => "",
    }
}

fn milliseconds(row: &Timed, scheme: &str, devices: u64) -> Result<f64, Diagnostic> {
    let (batch, prompt, output) = (row.batch, row.prompt, row.output);
    let request = match row.phase.as_str() {
        "decode" => Request::Generation { batch, prompt, output },
        _ => Request::Prefill { batch, context: prompt },
    };
    let machine = machine(&row.hardware, Fidelity::Realistic)?;
    let plan = cut_plan(&row.model, scheme, devices)?;
    let Summary { decode_step, total, .. } = summary(&plan, &machine, &request)?;
    let time: Seconds = if row.phase == "decode" { decode_step.unwrap_or(total) } else { total };
    Ok(time.get() * 1e3)
}

fn sized(row: &Sized) -> Result<Figure, Diagnostic> {
    let plan = plan(&row.model, &row.scheme)?;
    let weights = plan.footprint.weights.total;
    let what = format!("{}: {} in {}", row.paper, row.model, row.scheme);
    if row.prompt == 0 {
        return Ok(Figure::new(format!("{what}: weights"), "GB", row.gb, weights.get() / 1e9));
    }
    let machine = machine("a100-sxm-80gb", Fidelity::Realistic)?;
    let request = Request::Prefill { batch: 1, context: row.prompt };
    let total = summary(&plan, &machine, &request)?.memory.total().get() / 1e9;
    let why = "published with the runtime's own buffers, over all devices";
    Ok(Figure::new(format!("{what}: memory"), "GB", row.gb, total).remark(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_near_and_speed_ups_point_the_same_way() {
        let figures = run().expect("every model, device and scheme is known").figures;
        let pair = |f: &Figure| f.published.zip(f.simulated);
        for figure in figures.iter().filter(|f| f.unit == "GB") {
            let ratio = figure.ratio().expect("both are there");
            assert!((0.85..1.15).contains(&ratio), "{}: {ratio}", figure.what);
        }
        let speed_ups = figures.iter().filter(|f| f.what.ends_with("speed-up"));
        let mut seen = 0;
        for figure in speed_ups.filter(|f| !f.what.starts_with("LLM.int8()")) {
            let (published, simulated) = pair(figure).expect("both are there");
            // Half the devices for the same time is the gain that OPT-66B shows.
            if !figure.what.contains("opt-66b") {
                assert!(published > 1.0 && simulated > 1.0, "{}: {simulated}", figure.what);
            }
            seen += 1;
        }
        assert_eq!(seen, 15);
    }
}
