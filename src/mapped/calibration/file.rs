//! Calibration files.

use super::{Calibration, Fitted, Interval, Kernels};
use crate::diagnostic::{Diagnostic, clip};
use crate::mapped::{Kind, Parameter};
use crate::yaml::{Position, Source, Spanned};
use indexmap::IndexMap;
use serde::Deserialize;
use std::fmt::Write;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCalibration {
    hardware: Spanned<String>,
    stack: Spanned<String>,
    #[serde(default)]
    like: Option<String>,
    date: String,
    data: Vec<String>,
    kernels: IndexMap<String, IndexMap<String, Spanned<RawFitted>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFitted {
    rows: u64,
    interval: Spanned<[f64; 2]>,
    parameters: IndexMap<String, Spanned<RawParameter>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParameter {
    value: String,
    #[serde(default)]
    error: Option<f64>,
}

impl Calibration {
    /// Reads a calibration file.
    ///
    /// # Errors
    /// Malformed YAML; an unknown kind; an unknown, missing or repeated parameter; a value of another
    /// unit or outside its range; an interval that does not hold 1 or is not above zero.
    pub fn parse(source: &Source) -> Result<Self, Diagnostic> {
        let raw: RawCalibration = source.parse()?;
        let mut kernels = Kernels::new();
        for (name, formats) in &raw.kernels {
            let Some(kind) = Kind::ALL.iter().copied().find(|k| k.name() == name) else {
                let names = Kind::ALL.iter().map(|k| k.name());
                return Err(Diagnostic::unknown("kind of kernel", name, names));
            };
            for (format, raw) in formats {
                kernels.insert((kind, format.clone()), fitted(source, kind, raw)?);
            }
        }
        if kernels.is_empty() {
            return Err(Diagnostic::new(format!("{} has no kernels", source.name)));
        }
        Ok(Self {
            hardware: raw.hardware.value,
            stack: raw.stack.value,
            like: raw.like,
            date: raw.date,
            data: raw.data,
            kernels,
        })
    }

    /// The file's text.
    pub fn to_yaml(&self) -> String {
        let mut text = String::from(
            "# Written by `cosim calibrate`. Values are fitted; errors are relative standard errors; a\n\
             # parameter without one was not identified by the data and is held where a fit begins.\n\
             # interval: measured over predicted, 10th and 90th percentile of rows left out of a fit.\n",
        );
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let _ =
            writeln!(text, "hardware: {}\nstack: {}", quote(&self.hardware), quote(&self.stack));
        if let Some(like) = &self.like {
            let _ = writeln!(text, "like: {}", quote(like));
        }
        let _ = writeln!(text, "date: {}\ndata:", quote(&self.date));
        for line in &self.data {
            let _ = writeln!(text, "  - {}", quote(line));
        }
        text += "kernels:\n";
        let mut last = None;
        for ((kind, format), fitted) in &self.kernels {
            if last != Some(*kind) {
                let _ = writeln!(text, "  {}:", kind.name());
                last = Some(*kind);
            }
            let Interval { low, high } = fitted.interval;
            let _ = writeln!(text, "    {}:\n      rows: {}", quote(format), fitted.rows);
            let _ = writeln!(text, "      interval: [{low:.4}, {high:.4}]\n      parameters:");
            for ((parameter, value), error) in
                kind.parameters().iter().zip(&fitted.values).zip(&fitted.errors)
            {
                let error = error.map_or(String::new(), |e| format!(", error: {e:.4}"));
                let value = parameter.show(*value);
                let _ = writeln!(text, "        {}: {{value: {value}{error}}}", parameter.name);
            }
        }
        text
    }
}

fn fitted(source: &Source, kind: Kind, raw: &Spanned<RawFitted>) -> Result<Fitted, Diagnostic> {
    let at = Position::from(raw);
    let raw = &raw.value;
    let all = kind.parameters();
    let names = || all.iter().map(|p| p.name);
    for (name, parameter) in &raw.parameters {
        if !all.iter().any(|p| p.name == name) {
            let unknown =
                Diagnostic::unknown(&format!("parameter of {}", kind.name()), name, names());
            return Err(unknown.at(source.place(Position::from(parameter))));
        }
    }
    let mut values = vec![];
    let mut errors = vec![];
    for parameter in all {
        let Some(written) = raw.parameters.get(parameter.name) else {
            let message = format!("{} has no parameter `{}`", kind.name(), parameter.name);
            let names: Vec<&str> = names().collect();
            let hint = format!("its parameters are {}", names.join(", "));
            return Err(Diagnostic::new(message).at(source.place(at)).hint(hint));
        };
        values.push(value(source, parameter, written)?);
        errors.push(written.value.error);
    }
    let [low, high] = raw.interval.value;
    if !(low > 0.0 && low <= 1.0 && high >= 1.0 && high.is_finite()) {
        let message = format!("interval: [{low}, {high}] is no interval above zero that holds 1");
        let place = source.place(Position::from(&raw.interval));
        return Err(Diagnostic::new(message).at(place).hint("for instance [0.9, 1.15]"));
    }
    Ok(Fitted { values, errors, rows: raw.rows, interval: Interval { low, high } })
}

fn value(
    source: &Source,
    parameter: &Parameter,
    written: &Spanned<RawParameter>,
) -> Result<f64, Diagnostic> {
    parameter.parse(&written.value.value).map_err(|why| {
        let message = format!("{}: {}", parameter.name, clip(&why));
        Diagnostic::new(message).at(source.place(Position::from(written)))
    })
}
