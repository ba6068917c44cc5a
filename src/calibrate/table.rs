//! Measured tables: CSV in, rows with their line numbers out.

use super::case::Case;
use super::fields::Fields;
use super::protocol::Protocol;
use super::request::{self, RequestRow};
use super::schema::schema;
use crate::diagnostic::{Diagnostic, Place};
use crate::units::Seconds;
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
    let again =
        |i: &usize| header.iter().take(*i).any(|name| !name.is_empty() && name == &header[*i]);
    if let Some(i) = (1..header.len()).find(again) {
        let text = header.iter().collect::<Vec<_>>().join(",");
        let place = Place { file: file.into(), line: 1, column: 1, text };
        return Err(Diagnostic::new(format!("two columns `{}`", &header[i])).at(Some(place)));
    }
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
            Ok(case) => table.rows.push(row(&fields, case)?),
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

/// Lines whose shape an earlier row has.
fn repeated<'a>(rows: impl Iterator<Item = (&'a str, u64)>) -> Vec<u64> {
    let mut seen = std::collections::HashSet::new();
    rows.filter(|(key, _)| !seen.insert(*key)).map(|(_, line)| line).collect()
}

/// A row of a case.
fn row(f: &Fields<'_>, case: Case) -> Result<Row, Diagnostic> {
    let device = f.text("device")?;
    let (framework, version) = (f.optional("framework"), f.optional("version"));
    let source = f.optional("source");
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
        line: f.line,
        device: device.into(),
        software: software.into(),
        key: match &case {
            Case::Experts(_) => {
                format!("{device} {} {case:?} {}", case.table(), f.optional("distribution"))
            }
            _ => format!("{device} {} {case:?}", case.table()),
        },
        dtype: match &case {
            Case::Elementwise { .. } | Case::AllReduce { .. } | Case::Exchange { .. } => {
                f.storage("dtype")?.group().to_owned()
            }
            _ => case.format(),
        },
        case,
        protocol,
        stack,
        time: Seconds::new(f.number("time_us")? * 1e-6),
    })
}
