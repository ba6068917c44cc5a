//! The one door for YAML: text in, typed value or [`Diagnostic`] with line, column and hint out.
//!
//! Duplicate keys are refused, nesting and alias expansion are bounded, unknown fields are the
//! types' own affair (`deny_unknown_fields`).

use crate::diagnostic::{Diagnostic, Place, clip, nearest_hint};
use serde::de::DeserializeOwned;
use std::sync::Arc;

pub use serde_yaml::Spanned;

/// Largest YAML text that is read, in bytes; the bundled files are below 20 kB.
pub const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting that is read; the bundled files need 6.
const MAX_DEPTH: usize = 64;

/// A named YAML text: a file's path or a command-line argument, and what it holds.
#[derive(Debug, Clone)]
pub struct Source {
    /// Shown in messages.
    pub name: Arc<str>,
    /// The text itself.
    pub text: Arc<str>,
}

/// A position in a [`Source`]: line and column, counted from 1; (0, 0) where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl<T> From<&Spanned<T>> for Position {
    fn from(spanned: &Spanned<T>) -> Self {
        let at = spanned.referenced;
        Self { line: at.line() as usize, column: at.column() as usize }
    }
}

impl Source {
    /// A text with the name that messages show.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The place of a position, with its line quoted; `None` where the position is unknown.
    pub fn place(&self, at: Position) -> Option<Place> {
        let text = self.text.lines().nth(at.line.checked_sub(1)?)?.to_owned();
        Some(Place { file: self.name.clone(), line: at.line, column: at.column, text })
    }

    /// Reads the text as `T`.
    ///
    /// # Errors
    /// Malformed YAML, a duplicate key, an unknown or missing field, a value of the wrong form,
    /// nesting deeper than 64, an alias bomb, or a text above [`MAX_BYTES`].
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Diagnostic> {
        if self.text.len() > MAX_BYTES {
            let message = format!("{} is larger than {MAX_BYTES} bytes", self.name);
            return Err(Diagnostic::new(message).hint("cosim's YAML files are a few kB"));
        }
        let options = serde_yaml::options! {
            budget: serde_yaml::budget! {
                max_depth: MAX_DEPTH,
                flow_nesting_limit: MAX_DEPTH,
                max_events: 200_000,
                max_nodes: 100_000,
                max_aliases: 1_000,
            },
            with_snippet: false,
        };
        let mut path = None;
        serde_yaml::with_deserializer_from_str_with_options(&self.text, options, |de| {
            serde_path_to_error::deserialize::<_, T>(de).map_err(|e| {
                path = Some(e.path().to_string());
                e.into_inner()
            })
        })
        .map_err(|error| self.explain(&error, path.as_deref()))
    }

    fn explain(&self, error: &serde_yaml::Error, path: Option<&str>) -> Diagnostic {
        let at = error.location().map_or(Position::default(), |l| Position {
            line: l.line() as usize,
            column: l.column() as usize,
        });
        let (message, hint) = reword(error.without_snippet());
        let named = ["unknown field", "missing field"].iter().any(|m| message.starts_with(m));
        // A spanned value is a struct to serde; its `value` is not a field of the file.
        let field = path.map(|p| p.replace(".value", ""));
        let field = field.as_deref().map(|p| p.trim_end_matches(".?"));
        let field = field.filter(|p| !["", ".", "?"].contains(p) && !named);
        let message = match field {
            Some(field) => format!("{}: {message}", clip(field)),
            None => message,
        };
        let place = self.place(at);
        let message = match place {
            Some(_) => message,
            None => format!("{}: {message}", self.name),
        };
        Diagnostic::new(message).at(place).hint_opt(hint)
    }
}

/// The parser's error as one sentence and, where there is one, a hint.
fn reword(error: &serde_yaml::Error) -> (String, Option<String>) {
    use serde_yaml::Error as E;
    match error {
        E::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown field `{}`", clip(field)), Some(nearest_hint(field, expected)))
        }
        E::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{}`", clip(variant)), Some(nearest_hint(variant, expected)))
        }
        E::SerdeMissingField { field, .. } => (format!("missing field `{field}`"), None),
        E::Message { msg, .. } => (msg.chars().take(300).collect(), None),
        E::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map_or(String::new(), |k| format!(" `{}`", clip(k)));
            (format!("duplicate key{key}"), Some("a key stands once in a mapping".to_owned()))
        }
        E::Budget { .. } => too_large(),
        other => generic(&other.render()),
    }
}

fn too_large() -> (String, Option<String>) {
    let message = "the YAML nests too deeply, or expands to too many nodes".to_owned();
    (message, Some(format!("cosim's files nest at most 6 deep; the limit is {MAX_DEPTH}")))
}

/// Any other parser error: its first line without the place, which the diagnostic shows itself.
fn generic(rendered: &str) -> (String, Option<String>) {
    let first = rendered.lines().next().unwrap_or(rendered);
    let bare = first.split_once(": ").filter(|(head, _)| head.starts_with("error: line"));
    let text = bare.map_or(first, |(_, rest)| rest);
    let text = text.split(" at line ").next().unwrap_or(text);
    if ["budget breached", "recursion limit"].iter().any(|m| text.contains(m)) {
        return too_large();
    }
    let expected = [
        (
            "unexpected end of input",
            "the bundled files are examples: `cosim model show llama-2-7b`",
        ),
        ("invalid u32", "expected a whole number, for instance 32"),
        ("invalid u64", "expected a whole number, for instance 4096"),
        ("invalid f64", "expected a number, for instance 0.85"),
        ("invalid bool", "expected true or false"),
    ];
    let hint = expected.iter().find(|(m, _)| text.contains(m)).map(|(_, h)| (*h).to_owned());
    let plain = [
        ("expected mapping start", "expected a mapping, such as `name: value`"),
        ("expected sequence start", "expected a list, such as `[1, 8, 64]`"),
        ("unexpected end of input", "the file is empty"),
        ("multiple YAML documents", "more than one YAML document in a file"),
        ("invalid u32", "not a whole number"),
        ("invalid u64", "not a whole number"),
        ("invalid floating point", "not a number in range"),
        ("non-finite float", "expected a finite number"),
        ("cannot deserialize null", "expected a value, found none"),
    ];
    let text = plain.iter().find(|(m, _)| text.contains(m)).map_or(text, |(_, plain)| plain);
    (text.chars().take(300).collect(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Chip {
        bandwidth: Spanned<String>,
        units: Option<u32>,
    }

    fn refuse(text: &str) -> String {
        Source::new("chip.yaml", text).parse::<Chip>().expect_err("refused").to_string()
    }

    #[test]
    fn values_keep_their_place() {
        let source = Source::new("chip.yaml", "units: 4\nbandwidth: 3 TB/s\n");
        let chip: Chip = source.parse().expect("valid");
        assert_eq!((chip.units, chip.bandwidth.value.as_str()), (Some(4), "3 TB/s"));
        assert_eq!(Position::from(&chip.bandwidth), Position { line: 2, column: 12 });
    }

    #[test]
    fn errors_have_place_and_hint() {
        let shown = refuse("bandwith: 3 TB/s\n");
        assert!(shown.contains("unknown field `bandwith`"), "{shown}");
        assert!(shown.contains("chip.yaml:1:1"), "{shown}");
        assert!(shown.contains("`bandwidth`"), "{shown}");
        let shown = refuse("bandwidth: a\nunits: -3\n");
        assert!(shown.contains("units") && shown.contains("chip.yaml:2:"), "{shown}");
        let shown = refuse("bandwidth: a\nbandwidth: b\n");
        assert!(shown.contains("duplicate") && shown.contains(":2:1"), "{shown}");
    }

    #[test]
    fn bombs_are_refused_at_once() {
        let deep = "{a: ".repeat(100_000);
        assert!(refuse(&deep).lines().count() < 12);
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for (prev, next) in ('a'..'i').zip('b'..'j') {
            bomb += &format!("{next}: &{next} [{}]\n", vec![format!("*{prev}"); 10].join(","));
        }
        assert!(Source::new("bomb", bomb).parse::<Chip>().is_err());
    }
}
