//! The fields of a `config.json`, each taken once: what is left at the end was not understood.

use super::neutral;
use crate::diagnostic::{Diagnostic, Place, clip};
use crate::model::{Activation, Output};
use crate::yaml::{Position, Source};
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest file that is read, in bytes; published ones are a few kB.
const MAX_BYTES: usize = 1 << 20;

/// A JSON object whose fields are taken one by one. `null` counts as absent.
pub(super) struct Config<'a> {
    source: &'a Source,
    /// Field of the file that holds this object; `None` for the file itself.
    parent: Option<&'static str>,
    fields: BTreeMap<String, Value>,
    /// `model_type`, for messages.
    pub family: &'static str,
    /// What the checkpoint's class ends in.
    pub output: Output,
}

type Read<T> = Result<T, Diagnostic>;

impl<'a> Config<'a> {
    pub fn parse(source: &'a Source) -> Read<Self> {
        if source.text.len() > MAX_BYTES {
            let message = format!("{} is larger than {MAX_BYTES} bytes", source.name);
            return Err(Diagnostic::new(message).hint("a config.json is a few kB"));
        }
        let fields = serde_json::from_str(&source.text).map_err(|error| {
            let at = Position { line: error.line(), column: error.column().max(1) };
            let text = error.to_string();
            let bare = text.split(" at line ").next().unwrap_or(&text);
            let place = source.place(at);
            let file = if place.is_none() { format!("{}: ", source.name) } else { String::new() };
            Diagnostic::new(format!("{file}not a JSON object: {}", clip(bare)))
                .at(place)
                .hint("expected the whole config.json of a Hugging Face model")
        })?;
        Ok(Self { source, parent: None, fields, family: "", output: Output::Logits })
    }

    /// The field's value, no longer among the rest; `None` where absent or `null`.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.fields.remove(key).filter(|v| !v.is_null())
    }

    /// Whether the field is there, be it `null`.
    pub fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// A whole number that stays to be read.
    pub fn peek(&self, key: &str) -> Option<u64> {
        self.fields.get(key).and_then(Value::as_u64)
    }

    /// Whether a nested object gives the field.
    pub fn gives(&self, object: &str, key: &str) -> bool {
        let nested = self.fields.get(object).and_then(|object| object.get(key));
        nested.is_some_and(|value| !value.is_null())
    }

    /// Refuses a file in which the field is absent or `null`, though it has a default.
    pub fn require(&self, key: &str) -> Read<()> {
        let given = self.fields.get(key).is_some_and(|v| !v.is_null());
        if given { Ok(()) } else { Err(self.missing(key)) }
    }

    /// Where a field stands in the file.
    pub fn place(&self, key: &str) -> Option<Place> {
        self.source.place(locate(&self.source.text, self.parent.unwrap_or(key))?)
    }

    /// A refusal at a field.
    pub fn refuse(&self, key: &str, message: String) -> Diagnostic {
        Diagnostic::new(message).at(self.place(key))
    }

    fn wrong(&self, key: &str, found: &Value, expected: &str) -> Diagnostic {
        let found = clip(&found.to_string());
        self.refuse(key, format!("`{key}` is {found}, expected {expected}"))
    }

    /// A refusal of the file as a whole.
    pub fn refuse_file(&self, message: &str) -> Diagnostic {
        Diagnostic::new(format!("{}: {message}", self.source.name))
    }

    /// The refusal of a required field that is absent.
    pub fn missing(&self, key: &str) -> Diagnostic {
        let message = match self.parent {
            Some(parent) => format!("missing field `{key}` in `{parent}`"),
            None => {
                let (file, family) = (&self.source.name, self.family);
                format!("{file}: missing field `{key}`, which a `{family}` model needs")
            }
        };
        Diagnostic::new(message).at(self.parent.and_then(|p| self.place(p)))
    }

    pub fn size_opt(&mut self, key: &str) -> Read<Option<u64>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let whole = value.as_u64().ok_or_else(|| self.wrong(key, &value, "a whole number"))?;
        Ok(Some(whole))
    }

    pub fn size(&mut self, key: &str) -> Read<u64> {
        self.size_opt(key)?.ok_or_else(|| self.missing(key))
    }

    pub fn real_opt(&mut self, key: &str) -> Read<Option<f64>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let real = value.as_f64().ok_or_else(|| self.wrong(key, &value, "a number"))?;
        Ok(Some(real))
    }

    pub fn real(&mut self, key: &str) -> Read<f64> {
        self.real_opt(key)?.ok_or_else(|| self.missing(key))
    }

    pub fn flag_opt(&mut self, key: &str) -> Read<Option<bool>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let flag = value.as_bool().ok_or_else(|| self.wrong(key, &value, "true or false"))?;
        Ok(Some(flag))
    }

    /// A switch, or the configuration class's default for it.
    pub fn flag_or(&mut self, key: &str, default: bool) -> Read<bool> {
        Ok(self.flag_opt(key)?.unwrap_or(default))
    }

    /// Refuses a switch that stands otherwise than the only modelled way, its default.
    pub fn only(&mut self, key: &str, modelled: bool) -> Read<()> {
        let found = self.flag_or(key, modelled)?;
        if found == modelled {
            return Ok(());
        }
        let message = format!("`{key}: {found}` is not supported in a `{}` model", self.family);
        Err(self.refuse(key, message))
    }

    pub fn text_opt(&mut self, key: &str) -> Read<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, &other, "a string")),
        }
    }

    /// A list of strings; empty where absent.
    pub fn texts(&mut self, key: &str) -> Read<Vec<String>> {
        let Some(value) = self.take(key) else { return Ok(vec![]) };
        let texts = value.as_array().and_then(|list| {
            list.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        texts.ok_or_else(|| self.wrong(key, &value, "a list of strings"))
    }

    /// A list of numbers.
    pub fn reals(&mut self, key: &str) -> Read<Vec<f64>> {
        let value = self.take(key).ok_or_else(|| self.missing(key))?;
        let reals = value
            .as_array()
            .and_then(|list| list.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
        reals.ok_or_else(|| self.wrong(key, &value, "a list of numbers"))
    }

    /// A nested object.
    pub fn object(&mut self, key: &'static str) -> Read<Option<Config<'a>>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Config {
                source: self.source,
                parent: Some(key),
                fields: map.into_iter().collect(),
                family: self.family,
                output: self.output,
            })),
            Some(other) => Err(self.wrong(key, &other, "an object")),
        }
    }

    /// The non-linearity by its name in `transformers`.
    pub fn activation(&mut self, key: &str) -> Read<Option<Activation>> {
        let Some(name) = self.text_opt(key)? else { return Ok(None) };
        match name.as_str() {
            "silu" | "swish" => Ok(Some(Activation::Silu)),
            "gelu" => Ok(Some(Activation::GeluErf)),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Some(Activation::GeluTanh)),
            "relu" => Ok(Some(Activation::Relu)),
            _ => {
                let message = format!("activation `{}` is not supported", clip(&name));
                Err(self.refuse(key, message).hint("supported: silu, gelu, gelu_new, relu"))
            }
        }
    }

    /// Refuses what nobody read and what is not known to leave the mathematics alone.
    pub fn finish(&self) -> Read<()> {
        let left = self.fields.iter().find(|(key, value)| {
            !value.is_null() && (self.parent.is_some() || !neutral::is_neutral(key, value))
        });
        let Some((key, value)) = left else { return Ok(()) };
        let inside = self.parent.map_or(String::new(), |p| format!(" in `{p}`"));
        let (key_shown, value) = (clip(key), clip(&value.to_string()));
        let message = format!(
            "`{key_shown}: {value}`{inside} is not understood for a `{}` model",
            self.family
        );
        let hint = "remove the field if it leaves the mathematics alone; \
                    else describe the model in cosim's own YAML";
        Err(self.refuse(key, message).hint(hint))
    }
}

/// Line and column of a key of the outermost object.
fn locate(text: &str, key: &str) -> Option<Position> {
    let (mut depth, mut line, mut column) = (0usize, 1, 0);
    let mut string: Option<(Position, String)> = None;
    let mut last: Option<(Position, String)> = None;
    let mut escaped = false;
    for c in text.chars() {
        (line, column) = if c == '\n' { (line + 1, 0) } else { (line, column + 1) };
        match (&mut string, c) {
            (Some(_), '"') if !escaped => last = string.take(),
            (Some((_, token)), _) => {
                escaped = c == '\\' && !escaped;
                token.push(c);
            }
            (None, '"') => string = Some((Position { line, column }, String::new())),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            (None, ':') if depth == 1 => match last.take() {
                Some((at, token)) if token == key => return Some(at),
                _ => {}
            },
            _ => {}
        }
    }
    None
}
