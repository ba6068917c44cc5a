//! Tables of requests: a model on devices, with a figure that somebody published.

use crate::calibrate::fields::Fields;
use crate::calibrate::score::Scored;
use crate::diagnostic::Diagnostic;
use crate::units::Seconds;
use csv::StringRecord;
use std::sync::Arc;

/// What was measured of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Time to the first token.
    FirstToken,
    /// Time per output token.
    PerToken,
    /// Output tokens per second of all devices, prefill included.
    Output,
    /// The same of one device.
    OutputPerDevice,
    /// Prompt tokens per second.
    Prompt,
    /// Output tokens per second of the decode steps.
    Decode,
}

/// Names of metrics, with the seconds of one unit where they are times.
const METRICS: &[(&str, Metric, Option<f64>)] = &[
    ("first_token_latency_ms", Metric::FirstToken, Some(1e-3)),
    ("ttft_ms", Metric::FirstToken, Some(1e-3)),
    ("tpot_ms", Metric::PerToken, Some(1e-3)),
    ("total_output_tok_s", Metric::Output, None),
    ("output_tok_s_per_gpu", Metric::OutputPerDevice, None),
    ("prefill_tok_s", Metric::Prompt, None),
    ("decode_tok_s", Metric::Decode, None),
];

/// Software by how its name begins: what it is called among stacks.
const STACKS: &[(&str, &str)] = &[
    ("TensorRT-LLM v0.5", "trtllm-0.6"),
    ("TensorRT-LLM v0.6", "trtllm-0.6"),
    ("TensorRT-LLM", "trtllm"),
    ("llama.cpp", "llamacpp"),
    ("vLLM", "vllm"),
    ("SGLang", "sglang"),
];

/// A measured request.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRow {
    /// Line in the file, from 1.
    pub line: u64,
    /// The table's name of the device.
    pub device: Arc<str>,
    /// Framework as it is named.
    pub software: Arc<str>,
    /// The software stack.
    pub stack: Option<Arc<str>>,
    /// The table's name of the model.
    pub model: Arc<str>,
    /// The table's name of the precision.
    pub precision: String,
    /// Sequences.
    pub batch: u64,
    /// Prompt tokens.
    pub prompt: u64,
    /// Generated tokens.
    pub output: u64,
    /// Ranks that cut a layer.
    pub tensor: u64,
    /// Stages of a pipeline.
    pub pipeline: u64,
    /// What was measured.
    pub metric: Metric,
    /// The time behind the figure: to the first token; of all output; of a prompt; of a decode step.
    pub time: Seconds,
    /// Device, model, precision and shape: equal for repeated measurements.
    pub key: String,
}

impl Metric {
    /// Whether the figure is a rate, whose errors are those of rates.
    pub const fn is_rate(self) -> bool {
        !matches!(self, Self::FirstToken | Self::PerToken)
    }
}

impl RequestRow {
    /// The row with a predicted time.
    pub fn scored(&self, op: &str, predicted: f64, range: [f64; 2]) -> Scored {
        let measured = self.time.get();
        Scored {
            op: op.to_owned(),
            device: self.device.to_string(),
            dtype: self.precision.clone(),
            line: self.line,
            shape: self.words(),
            measured,
            predicted,
            covered: (range[0]..=range[1]).contains(&measured),
            rate: self.metric.is_rate(),
        }
    }

    /// What is measured, in words.
    pub fn words(&self) -> String {
        let Self { model, batch, prompt, output, tensor, pipeline, .. } = self;
        let devices = if tensor * pipeline > 1 {
            format!(", tp {tensor}, pp {pipeline}")
        } else {
            String::new()
        };
        let what = METRICS.iter().find(|(_, m, _)| *m == self.metric).map_or("", |(name, ..)| name);
        format!("{model}, batch {batch}, {prompt} + {output} tokens{devices}, {what}")
    }
}

/// Whether a table is of requests.
pub(in crate::calibrate) fn is_of(header: &StringRecord) -> bool {
    OWN.iter().all(|name| header.iter().any(|h| h == *name))
}

/// Columns that only this kind of table has.
pub(in crate::calibrate) const OWN: [&str; 4] = ["model", "metric", "isl", "osl"];
const NEEDS: [&str; 6] = ["hardware", "framework", "precision", "batch", "value", "tp"];

/// Reads one row.
///
/// # Errors
/// A missing column or value, a number that is none or not above zero, an unknown metric; with its line.
pub(in crate::calibrate) fn read(f: &Fields<'_>) -> Result<RequestRow, Diagnostic> {
    f.needs(&NEEDS, &OWN)?;
    let whole = |name: &str, least: u64| -> Result<u64, Diagnostic> {
        match f.optional(name) {
            "" if name == "tp" || name == "pp" => Ok(1),
            text => text.parse::<u64>().ok().filter(|n| *n >= least).ok_or_else(|| {
                f.refuse(format!("{name}: `{text}` is no whole number of at least {least}"))
            }),
        }
    };
    let name = f.text("metric")?;
    let Some((_, metric, scale)) = METRICS.iter().find(|(known, ..)| *known == name) else {
        let unknown = Diagnostic::unknown("metric", name, METRICS.iter().map(|(n, ..)| *n));
        return Err(unknown.at(f.refuse(String::new()).place));
    };
    let (batch, prompt, output) = (whole("batch", 1)?, whole("isl", 0)?, whole("osl", 0)?);
    let (tensor, pipeline) = (whole("tp", 1)?, whole("pp", 1)?);
    let value = f.number("value")?;
    let tokens = |n: u64| batch as f64 * n as f64;
    let time = match (metric, scale) {
        (_, Some(scale)) => value * scale,
        (Metric::Output, _) => tokens(output) / value,
        (Metric::OutputPerDevice, _) => tokens(output) / value / (tensor * pipeline) as f64,
        (Metric::Prompt, _) => tokens(prompt) / value,
        (_, None) => tokens(1) / value,
    };
    if !(time > 0.0 && time.is_finite()) {
        return Err(f.refuse(format!("{name} is of no tokens: isl {prompt}, osl {output}")));
    }
    let (device, software) = (f.text("hardware")?, f.text("framework")?);
    let stack = STACKS.iter().find(|(start, _)| software.starts_with(start));
    let (model, precision) = (f.text("model")?, f.text("precision")?);
    Ok(RequestRow {
        line: f.line,
        device: device.into(),
        software: software.into(),
        stack: stack.map(|(_, stack)| (*stack).into()),
        model: model.into(),
        precision: precision.to_owned(),
        batch,
        prompt,
        output,
        tensor,
        pipeline,
        metric: *metric,
        time: Seconds::new(time),
        key: format!(
            "{device} {software} {model} {precision} {batch} {prompt} {output} {tensor} {pipeline} {name}"
        ),
    })
}
