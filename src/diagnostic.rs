//! What a person is told when input is refused: the place, what was found, what was expected, a hint.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::fmt;
use std::sync::Arc;

/// Longest piece of a source line that a message quotes, in characters.
const QUOTED_LINE: usize = 120;

/// A position in a named text: a file, or a command-line argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// File path as the user gave it, or the argument (`--set traffic.batch`).
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The text of that line.
    pub text: String,
}

/// A refusal that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// One sentence: what is wrong, with the value found.
    pub message: String,
    /// Where, if the input has places.
    pub place: Option<Place>,
    /// What to do, or the closest valid names.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A refusal without place or hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, hint: None }
    }

    /// Adds the hint line.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the hint line where there is one.
    pub fn hint_opt(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Adds the place.
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place.or(self.place);
        self
    }

    /// An unknown name, with the closest valid ones offered.
    pub fn unknown<'a>(what: &str, found: &str, valid: impl IntoIterator<Item = &'a str>) -> Self {
        let valid: Vec<&str> = valid.into_iter().collect();
        Self::new(format!("unknown {what} `{}`", clip(found))).hint(nearest_hint(found, &valid))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut report = vec![];
        let quoted = self.place.as_ref().map(Place::quoted);
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut group = match (&self.place, &quoted) {
            (Some(place), Some((line, span))) => title.element(
                Snippet::source(line.as_str())
                    .path(format!("{}:{}:{}", place.file, place.line, place.column))
                    .line_start(place.line)
                    .annotation(AnnotationKind::Primary.span(span.clone())),
            ),
            _ => annotate_snippets::Group::with_title(title),
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        report.push(group);
        let text = Renderer::plain().render(&report);
        // The renderer repeats its own line and column behind the path; the path already has them.
        let text = match &self.place {
            Some(place) => {
                let named = format!("{}:{}:{}", place.file, place.line, place.column);
                text.lines()
                    .map(|l| match l.find(&named) {
                        Some(at) if l.trim_start().starts_with("-->") => &l[..at + named.len()],
                        _ => l,
                    })
                    .collect::<Vec<_>>()
                    .join("\n")
            }
            None => text.lines().filter(|l| l.trim() != "|").collect::<Vec<_>>().join("\n"),
        };
        f.write_str(&text)
    }
}

impl std::error::Error for Diagnostic {}

impl Place {
    /// The line cut to a screen's width around the column, and the byte span of the token there.
    fn quoted(&self) -> (String, std::ops::Range<usize>) {
        let chars: Vec<char> = self.text.chars().map(printable).collect();
        let column = self.column.saturating_sub(1).min(chars.len());
        let start = column.saturating_sub(QUOTED_LINE / 2);
        let piece = &chars[start..chars.len().min(start + QUOTED_LINE)];
        let inside = column - start;
        let token = piece[inside..].iter().take_while(|c| !c.is_whitespace()).count().max(1);
        let bytes = |n: usize| piece[..n.min(piece.len())].iter().map(|c| c.len_utf8()).sum();
        let span: std::ops::Range<usize> = bytes(inside)..bytes(inside + token);
        (piece.iter().collect(), span)
    }
}

/// Control characters of a hostile file never reach the terminal.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// A name of unknown origin, cut to a readable length.
pub fn clip(text: &str) -> String {
    let clean: String = text.chars().map(printable).collect();
    match clean.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &clean[..at]),
        None => clean,
    }
}

/// "did you mean ...?" with up to three close names, else the list of what is valid.
pub fn nearest_hint(found: &str, valid: &[&str]) -> String {
    let close = nearest(found, valid);
    if close.is_empty() && valid.is_empty() {
        return "there is none to choose from".to_owned();
    }
    if close.is_empty() {
        let shown: Vec<&str> = valid.iter().copied().take(12).collect();
        let more = match valid.len() - shown.len() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        return format!("expected one of: {}{more}", shown.join(", "));
    }
    let quoted: Vec<String> = close.iter().map(|n| format!("`{n}`")).collect();
    format!("did you mean {}?", quoted.join(" or "))
}

/// Up to three valid names close to `found`, closest first.
pub fn nearest<'a>(found: &str, valid: &[&'a str]) -> Vec<&'a str> {
    let found: String = found.chars().take(60).collect::<String>().to_lowercase();
    let score = |name: &str| {
        let prefix = if name.starts_with(&found) && found.len() > 1 { 0.3 } else { 0.0 };
        strsim::jaro_winkler(&found, &name.to_lowercase()) + prefix
    };
    let mut scored: Vec<(f64, &str)> =
        valid.iter().map(|n| (score(n), *n)).filter(|(s, _)| *s > 0.8).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup();
    scored.into_iter().take(3).map(|(_, n)| n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_place_snippet_and_hint_on_one_screen() {
        let place = Place {
            file: "chip.yaml".into(),
            line: 7,
            column: 5,
            text: "    bandwith: 3 TB/s".into(),
        };
        let shown = Diagnostic::unknown("field", "bandwith", ["bandwidth", "capacity"])
            .at(Some(place))
            .to_string();
        assert!(shown.contains("chip.yaml:7:5\n"), "{shown}");
        assert!(shown.contains("did you mean `bandwidth`?"), "{shown}");
        assert!(shown.lines().count() < 10, "{shown}");
    }

    #[test]
    fn a_hostile_line_is_cut() {
        let place =
            Place { file: "x".into(), line: 1, column: 90_000, text: "{a: ".repeat(100_000) };
        let shown = Diagnostic::new("too deep").at(Some(place)).to_string();
        assert!(shown.len() < 1000, "{}", shown.len());
    }
}
