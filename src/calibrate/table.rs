//! Measured tables: CSV in, rows with their line numbers out.

use super::case::{Attention, Case, Experts, Method, Storage};
use super::protocol::Protocol;
use super::request::{self, RequestRow};
use crate::diagnostic::{Diagnostic, Place, clip};
use crate::mapped::Exchange;
use crate::units::Seconds;
use csv::StringRecord;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One measured kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Line in the file, from 1.
    pub line: u64,
    /// The table's name of the device.
    pub device: Arc<str>,
    /// Framework and version, or the source where there is none.
    pub software: Arc<str>,
    /// The software stack, where the row or its source tells.
    pub stack: Option<Arc<str>>,
    /// What was measured.
    pub case: Case,
    /// Format as scores name it: 16-bit floats as one; that of a cache behind it where it differs.
    pub dtype: String,
    /// How.
    pub protocol: Protocol,
    /// The time.
    pub time: Seconds,
    /// Device, operator, format and shape: equal for repeated measurements.
    pub key: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The operator: the file's name without extension.
    pub op: String,
    /// The file.
    pub file: String,
    /// Its rows of kernels.
    pub rows: Vec<Row>,
    /// Its rows of whole requests.
    pub requests: Vec<RequestRow>,
    /// What a person should know of it.
    pub warnings: Vec<Warning>,
}

/// Something about a table that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What, in words.
    pub message: String,
    /// Lines that it is about, the first few.
    pub lines: Vec<u64>,
    /// How many rows it is about.
    pub rows: usize,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(u64::to_string).collect();
        let more = if self.rows > self.lines.len() { ", ..." } else { "" };
        write!(f, "{} rows {} (lines {}{more})", self.rows, self.message, lines.join(", "))
    }
}

/// Lines that a warning names.
const NAMED: usize = 5;

/// A kind of table, told by its columns.
#[derive(Clone, Copy)]
struct Schema {
    /// Columns that only this kind has.
    own: &'static [&'static str],
    /// The other columns that it needs.
    needs: &'static [&'static str],
    case: fn(&Fields<'_>) -> Result<Result<Case, &'static str>, Diagnostic>,
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

/// Reads a table.
///
/// # Errors
/// Columns of no known kind, a missing column or value, a time without unit in its column's name, a number
/// that is none or not above zero, an unknown format; each with its line.
pub fn read(op: &str, file: &str, text: &str) -> Result<Measured, Diagnostic> {
    // One kind of line end, so that the reader's line numbers are the file's.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| malformed(file, &e))?.clone();
    let of_requests = request::is_of(&header);
    let schema = if of_requests { None } else { Some(schema(file, &header)?) };
    let mut table = Measured {
        op: op.to_owned(),
        file: file.to_owned(),
        rows: vec![],
        requests: vec![],
        warnings: vec![],
    };
    let mut skipped: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    let lines: Vec<&str> = text.lines().collect();
    for record in reader.records() {
        let record = record.map_err(|e| malformed(file, &e))?;
        let from = record.position().map_or(1, csv::Position::line).max(1) as usize;
        // The reader stands before the blank lines that it skips.
        let blank = lines.iter().skip(from - 1).take_while(|l| l.trim().is_empty()).count();
        let line = (from + blank) as u64;
        let text = lines.get(from + blank - 1).copied().unwrap_or("");
        let fields = Fields { file, header: &header, record: &record, line, text };
        let Some(schema) = &schema else {
            table.requests.push(request::read(&fields)?);
            continue;
        };
        match (schema.case)(&fields)? {
            Ok(case) => table.rows.push(fields.row(op, case)?),
            Err(why) => skipped.entry(why).or_default().push(line),
        }
    }
    if table.rows.is_empty() && table.requests.is_empty() && skipped.is_empty() {
        return Err(
            Diagnostic::new(format!("{file} has no rows")).hint("a header and rows below it")
        );
    }
    let kernels = table.rows.iter().map(|r| (r.key.as_str(), r.line));
    let requests = table.requests.iter().map(|r| (r.key.as_str(), r.line));
    let repeated = repeated(kernels.chain(requests));
    let warn = |(message, lines): (&str, Vec<u64>)| Warning {
        message: message.to_owned(),
        rows: lines.len(),
        lines: lines.into_iter().take(NAMED).collect(),
    };
    table.warnings.extend(skipped.into_iter().map(warn));
    if !repeated.is_empty() {
        table.warnings.push(warn(("repeat an earlier row's shape: all count", repeated)));
    }
    Ok(table)
}

fn malformed(file: &str, error: &csv::Error) -> Diagnostic {
    let line = error.position().map_or(String::new(), |p| format!(":{}", p.line()));
    let why = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields where the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8".to_owned(),
        _ => error.to_string(),
    };
    Diagnostic::new(format!("{file}{line}: {why}")).hint("one row of comma-separated fields a line")
}

/// The kind whose own columns are all there, with the others that it needs.
fn schema(file: &str, header: &StringRecord) -> Result<Schema, Diagnostic> {
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

/// Lines whose shape an earlier row has.
fn repeated<'a>(rows: impl Iterator<Item = (&'a str, u64)>) -> Vec<u64> {
    let mut seen = std::collections::HashSet::new();
    rows.filter(|(key, _)| !seen.insert(*key)).map(|(_, line)| line).collect()
}

/// One record with its columns.
pub(super) struct Fields<'a> {
    file: &'a str,
    header: &'a StringRecord,
    record: &'a StringRecord,
    pub(super) line: u64,
    text: &'a str,
}

impl Fields<'_> {
    pub(super) fn refuse(&self, message: String) -> Diagnostic {
        let place = Place {
            file: self.file.into(),
            line: self.line as usize,
            column: 1,
            text: self.text.to_owned(),
        };
        Diagnostic::new(message).at(Some(place))
    }

    /// A column's text; empty where there is no such column.
    pub(super) fn optional(&self, name: &str) -> &str {
        let at = self.header.iter().position(|h| h == name);
        at.and_then(|i| self.record.get(i)).unwrap_or("")
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, Diagnostic> {
        match self.optional(name) {
            "" => Err(self.refuse(format!("{name} is empty"))),
            text => Ok(text),
        }
    }

    /// A number above zero.
    pub(super) fn number(&self, name: &str) -> Result<f64, Diagnostic> {
        let text = self.text(name)?;
        let value: f64 = text
            .parse()
            .map_err(|_| self.refuse(format!("{name}: `{}` is not a number", clip(text))))?;
        if value.is_finite() && value > 0.0 && value < 1e18 {
            return Ok(value);
        }
        let message = format!("{name} is {}; expected a number above zero", clip(text));
        Err(self.refuse(message))
    }

    /// That the table has columns.
    pub(super) fn needs(&self, needed: &[&str], own: &[&str]) -> Result<(), Diagnostic> {
        let missing = needed.iter().find(|name| !self.header.iter().any(|h| h == **name));
        let Some(column) = missing else { return Ok(()) };
        let text = self.header.iter().collect::<Vec<_>>().join(",");
        let place = Place { file: self.file.into(), line: 1, column: 1, text };
        let hint = format!("this kind of table has {}, {}", own.join(", "), needed.join(", "));
        Err(Diagnostic::new(format!("no column `{column}`")).at(Some(place)).hint(hint))
    }

    fn storage(&self, name: &str) -> Result<Storage, Diagnostic> {
        let text = self.text(name)?;
        Storage::named(text).ok_or_else(|| {
            let unknown = Diagnostic::unknown(&format!("format of {name}"), text, Storage::names());
            unknown.at(self.refuse(String::new()).place)
        })
    }

    /// One of the words of a column that a table need not have.
    fn choice<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T, Diagnostic> {
        let text = self.optional(name);
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let valid = words.iter().map(|(word, _)| *word).filter(|w| !w.is_empty());
            Diagnostic::unknown(name, text, valid).at(self.refuse(String::new()).place)
        })
    }

    fn row(&self, op: &str, case: Case) -> Result<Row, Diagnostic> {
        let device = self.text("device")?;
        let (framework, version) = (self.optional("framework"), self.optional("version"));
        let source = self.optional("source");
        let software = match framework {
            "" => source.to_owned(),
            framework => format!("{framework} {version}").trim_end().to_owned(),
        };
        let protocol = Protocol::of(source);
        let stack = match framework.split('/').next() {
            Some("") | None => protocol.stack.map(Arc::from),
            Some(framework) => Some(framework.into()),
        };
        Ok(Row {
            line: self.line,
            device: device.into(),
            software: software.into(),
            key: match &case {
                Case::Experts(_) => {
                    format!("{device} {op} {case:?} {}", self.optional("distribution"))
                }
                _ => format!("{device} {op} {case:?}"),
            },
            dtype: match &case {
                Case::Elementwise { .. } | Case::AllReduce { .. } | Case::Exchange { .. } => {
                    self.storage("dtype")?.group().to_owned()
                }
                _ => case.format(),
            },
            case,
            protocol,
            stack,
            time: Seconds::new(self.number("time_us")? * 1e-6),
        })
    }
}

fn gemm(f: &Fields<'_>) -> Result<Result<Case, &'static str>, Diagnostic> {
    let format = f.storage("dtype")?;
    Ok(Ok(Case::Gemm { m: f.number("m")?, n: f.number("n")?, k: f.number("k")?, format }))
}

fn attention(f: &Fields<'_>) -> Result<Result<Case, &'static str>, Diagnostic> {
    let attention = Attention {
        batch: f.number("batch")?,
        queries: f.number("q_len")?,
        keys: f.number("kv_len")?,
        heads: f.number("n_heads")?,
        kv_heads: f.number("n_kv_heads")?,
        head_dim: f.number("head_dim")?,
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
    let elements = f.number("rows")? * f.number("cols")?;
    Ok(Ok(Case::Elementwise { op: op.to_owned(), bytes, elements }))
}

fn experts(f: &Fields<'_>) -> Result<Result<Case, &'static str>, Diagnostic> {
    let layer = Experts {
        tokens: f.number("tokens")?,
        hidden: f.number("hidden")?,
        inner: f.number("inter")?,
        chosen: f.number("topk")?,
        experts: f.number("num_experts")?,
        tp: f.number("tp")?,
        ep: f.number("ep")?,
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
    let (devices, bytes) = (f.number("n_devices")?, f.number("bytes")?);
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
