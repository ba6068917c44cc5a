//! Kinds of measured tables, told by their columns.

use super::case::{Attention, Case, Experts, Method};
use super::fields::Fields;
use super::request;
use crate::diagnostic::{Diagnostic, Place};
use crate::mapped::Exchange;
use csv::StringRecord;

/// A kind of table, told by its columns.
#[derive(Clone, Copy)]
pub(super) struct Schema {
    /// Columns that only this kind has.
    own: &'static [&'static str],
    /// The other columns that it needs.
    needs: &'static [&'static str],
    /// A row's case, or why nothing is fitted to such rows.
    pub(super) case: fn(&Fields<'_>) -> Result<Result<Case, &'static str>, Diagnostic>,
}

const SCHEMAS: &[Schema] = &[
    Schema { own: &["m", "n", "k"], needs: &["device", "dtype", "time_us"], case: gemm },
    Schema {
        own: &["q_len", "kv_len"],
        needs: &[
            "device",
            "dtype",
            "kv_dtype",
            "batch",
            "n_heads",
            "n_kv_heads",
            "head_dim",
            "time_us",
        ],
        case: attention,
    },
    Schema {
        own: &["rows", "cols"],
        needs: &["device", "op", "dtype", "time_us"],
        case: elementwise,
    },
    Schema {
        own: &["topk", "num_experts"],
        needs: &[
            "device",
            "dtype",
            "tokens",
            "hidden",
            "inter",
            "tp",
            "ep",
            "distribution",
            "time_us",
        ],
        case: experts,
    },
    Schema {
        own: &["n_devices", "bytes"],
        needs: &["device", "op", "dtype", "interconnect", "time_us"],
        case: collective,
    },
];

/// The kind whose own columns are all there, with the others that it needs.
pub(super) fn schema(file: &str, header: &StringRecord) -> Result<Schema, Diagnostic> {
    let has = |name: &&str| header.iter().any(|h| h == *name);
    let first = |message: String| {
        let text = header.iter().collect::<Vec<_>>().join(",");
        let place = Place { file: file.into(), line: 1, column: 1, text };
        Diagnostic::new(message).at(Some(place))
    };
    let Some(schema) = SCHEMAS.iter().find(|s| s.own.iter().all(&has)) else {
        let kinds = SCHEMAS.iter().map(|s| s.own.join(", "));
        let kinds: Vec<String> = kinds.chain([request::OWN.join(", ")]).collect();
        let message = "the columns are of no kind of table that is known".to_owned();
        return Err(first(message).hint(format!("one of: {}", kinds.join("; or "))));
    };
    let missing: Vec<&str> = schema.needs.iter().copied().filter(|c| !has(c)).collect();
    let Some(column) = missing.first() else { return Ok(*schema) };
    let close = header.iter().find(|h| h.starts_with("time") && *column == "time_us");
    Err(match close {
        Some(close) => first(format!(
            "the time is in `{close}`; expected microseconds in `time_us`"
        ))
        .hint("convert the times and rename the column: a name without its unit says nothing"),
        None => first(format!("no column `{}`", missing.join("`, `"))).hint(format!(
            "this kind of table has {}, {}",
            schema.own.join(", "),
            schema.needs.join(", ")
        )),
    })
}

fn gemm(f: &Fields<'_>) -> Result<Result<Case, &'static str>, Diagnostic> {
    let format = f.storage("dtype")?;
    Ok(Ok(Case::Gemm { m: f.count("m")?, n: f.count("n")?, k: f.count("k")?, format }))
}

fn attention(f: &Fields<'_>) -> Result<Result<Case, &'static str>, Diagnostic> {
    let attention = Attention {
        batch: f.count("batch")?,
        queries: f.count("q_len")?,
        keys: f.count("kv_len")?,
        heads: f.count("n_heads")?,
        kv_heads: f.count("n_kv_heads")?,
        head_dim: f.count("head_dim")?,
        format: f.storage("dtype")?,
        kv: f.storage("kv_dtype")?,
        causal: f.choice("causal", &[("", true), ("true", true), ("false", false)])?,
        method: f.choice(
            "method",
            &[
                ("", Method::Fused),
                ("fused", Method::Fused),
                ("unfused", Method::Unfused { masked: false }),
                ("unfused-masked", Method::Unfused { masked: true }),
            ],
        )?,
    };
    if (attention.heads / attention.kv_heads).fract() != 0.0 {
        let (heads, kv) = (attention.heads, attention.kv_heads);
        return Err(f.refuse(format!("n_heads is {heads}, which {kv} n_kv_heads do not divide")));
    }
    if attention.queries > attention.keys {
        let (queries, keys) = (attention.queries, attention.keys);
        let error = f.refuse(format!("q_len is {queries}, above kv_len {keys}"));
        return Err(error.hint("kv_len counts the whole context, that of the queries included"));
    }
    // A prompt of one token runs through the kernels of prompts.
    let whole = !attention.causal || attention.method != Method::Fused;
    if whole || attention.queries > 1.0 || attention.keys <= 1.0 {
        return Ok(Ok(Case::Prefill(attention)));
    }
    Ok(Ok(Case::Decode(attention)))
}

fn elementwise(f: &Fields<'_>) -> Result<Result<Case, &'static str>, Diagnostic> {
    let (op, element) = (f.text("op")?, f.storage("dtype")?.bytes);
    let Some(bytes) = Case::elementwise_bytes(op, element) else {
        let unknown = Diagnostic::unknown("operator", op, Case::elementwise_names());
        return Err(unknown.at(f.refuse(String::new()).place));
    };
    let elements = f.count("rows")? * f.count("cols")?;
    Ok(Ok(Case::Elementwise { op: op.to_owned(), bytes, elements }))
}

fn experts(f: &Fields<'_>) -> Result<Result<Case, &'static str>, Diagnostic> {
    let layer = Experts {
        tokens: f.count("tokens")?,
        hidden: f.count("hidden")?,
        inner: f.count("inter")?,
        chosen: f.count("topk")?,
        experts: f.count("num_experts")?,
        tp: f.count("tp")?,
        ep: f.count("ep")?,
        format: f.storage("dtype")?,
        balanced: f.text("distribution")? == "balanced",
    };
    if layer.ep > layer.experts {
        let (ep, experts) = (layer.ep, layer.experts);
        return Err(f.refuse(format!("ep is {ep}, above num_experts {experts}")));
    }
    if layer.chosen > layer.experts {
        let (chosen, experts) = (layer.chosen, layer.experts);
        return Err(f.refuse(format!("topk is {chosen}, above num_experts {experts}")));
    }
    Ok(Ok(Case::Experts(layer)))
}

fn collective(f: &Fields<'_>) -> Result<Result<Case, &'static str>, Diagnostic> {
    let (devices, bytes) = (f.count("n_devices")?, f.count("bytes")?);
    let exchange = Exchange::NAMES.iter().copied().find(|name| f.optional("op") == *name);
    if devices < 2.0 {
        return Err(f.refuse(format!("n_devices is {devices}; an exchange needs two")));
    }
    match (f.text("op")?, exchange) {
        (_, Some(op)) => return Ok(Ok(Case::Exchange { devices, bytes, op })),
        ("all_reduce", _) => {}
        ("p2p", _) => {
            return Ok(Err("are of one device sending to one, which nothing is fitted to"));
        }
        (other, _) => {
            let known = Exchange::NAMES.iter().copied().chain(["all_reduce", "p2p"]);
            let unknown = Diagnostic::unknown("exchange", other, known);
            return Err(unknown.at(f.refuse(String::new()).place));
        }
    }
    let custom = f.optional("source").contains("custom");
    let algorithm = if custom { "custom" } else { "nccl" };
    Ok(Ok(Case::AllReduce { devices, bytes, algorithm }))
}
