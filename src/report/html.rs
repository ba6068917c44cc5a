//! The page of a sweep: one self-contained HTML file beside its SVG charts.

use super::svg::escape;
use super::table::{Column, ColumnKind};
use std::fmt::Write;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/sort.js");

/// What the page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepPage {
    /// What was swept.
    pub title: String,
    /// The command line that made it.
    pub command: String,
    /// Columns of the summary.
    pub summary_columns: Vec<Column>,
    /// Rows of the summary, a cell per column.
    pub rows: Vec<Vec<Cell>>,
    /// Charts over all accelerators.
    pub overview: Vec<Figure>,
    /// An accelerator each.
    pub cards: Vec<Card>,
    /// Assumptions, what is not modelled.
    pub notes: Vec<String>,
}

/// A cell of the summary.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// What it says; empty where there is nothing to say.
    pub text: String,
    /// What it sorts by, in the unit without prefix; without it a number sorts last.
    pub sort: Option<f64>,
    /// Anchor of a card.
    pub anchor: Option<String>,
}

/// A chart in a file beside the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Path relative to the page.
    pub file: String,
    /// What it shows, for those who cannot see it.
    pub alt: String,
    /// What it is.
    pub caption: String,
}

/// An accelerator.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Its name.
    pub title: String,
    /// Its id in the page, `a100-sxm4-80gb`.
    pub anchor: String,
    /// Name and value.
    pub facts: Vec<(String, String)>,
    /// Roofline, breakdown.
    pub figures: Vec<Figure>,
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A number as shown and as sorted.
    pub fn number(text: impl Into<String>, sort: f64) -> Self {
        Self { text: text.into(), sort: Some(sort), anchor: None }
    }

    /// Words that lead to a card.
    pub fn link(text: impl Into<String>, anchor: impl Into<String>) -> Self {
        Self { text: text.into(), sort: None, anchor: Some(anchor.into()) }
    }
}

impl SweepPage {
    /// The page as an HTML file.
    pub fn to_html(&self) -> String {
        let title = escape(&self.title);
        let sections = [
            section("summary", "Summary", self.summary()),
            section("overview", "Compared", self.overview()),
            section("accelerators", "Accelerators", self.cards()),
            section("notes", "Assumptions and notes", self.notes()),
        ];
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header>\n<h1>{title}</h1>\n<pre><code>{command}</code></pre>\n</header>\n\
             <main>\n{body}</main>\n<footer>Made by cosim with the command above.</footer>\n\
             <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            command = escape(&self.command),
            body = sections.concat(),
        )
    }

    fn summary(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let head: String = self.summary_columns.iter().map(head_cell).collect();
        let row = |cells: &Vec<Cell>| {
            let columns = self.summary_columns.iter().enumerate();
            let empty = Cell::default();
            let cells: String = columns
                .map(|(i, column)| body_cell(i, column, cells.get(i).unwrap_or(&empty)))
                .collect();
            format!("<tr>{cells}</tr>\n")
        };
        let rows: String = self.rows.iter().map(row).collect();
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Summary table\">\n\
             <table class=\"sortable\">\n<thead><tr>{head}</tr></thead>\n\
             <tbody>\n{rows}</tbody>\n</table>\n</div>\n"
        )
    }

    fn overview(&self) -> String {
        if self.overview.is_empty() {
            return String::new();
        }
        format!("<div class=\"overview\">\n{}</div>\n", figures(&self.overview))
    }

    fn cards(&self) -> String {
        if self.cards.is_empty() {
            return String::new();
        }
        let cards: String = self.cards.iter().map(card).collect();
        format!("<div class=\"cards\">\n{cards}</div>\n")
    }

    fn notes(&self) -> String {
        if self.notes.is_empty() {
            return String::new();
        }
        let notes = self.notes.iter();
        let notes: String = notes.map(|n| format!("<li>{}</li>\n", escape(n))).collect();
        format!("<ul>\n{notes}</ul>\n")
    }
}

/// A section, unless there is nothing in it.
fn section(id: &str, title: &str, body: String) -> String {
    if body.is_empty() {
        return body;
    }
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-h\">\n<h2 id=\"{id}-h\">{title}</h2>\n{body}</section>\n"
    )
}

const fn class(column: &Column) -> &'static str {
    match column.kind {
        ColumnKind::Number => " class=\"n\"",
        ColumnKind::Text => "",
    }
}

fn head_cell(column: &Column) -> String {
    let name = escape(&column.name);
    let unit = if column.unit.is_empty() { "&nbsp;".to_owned() } else { escape(&column.unit) };
    format!(
        "<th scope=\"col\"{}><span class=\"name\">{name}</span>\
             <span class=\"unit\">{unit}</span></th>",
        class(column)
    )
}

/// The first cell of a row names it.
fn body_cell(index: usize, column: &Column, cell: &Cell) -> String {
    let text = match &cell.anchor {
        Some(anchor) => format!("<a href=\"#{}\">{}</a>", escape(anchor), escape(&cell.text)),
        None => escape(&cell.text),
    };
    let sort = match (cell.sort, column.kind) {
        (Some(value), _) => format!(" data-sort=\"{value}\""),
        (None, ColumnKind::Number) => " data-sort=\"\"".to_owned(),
        (None, ColumnKind::Text) => String::new(),
    };
    match index {
        0 => format!("<th scope=\"row\"{sort}>{text}</th>"),
        _ => format!("<td{}{sort}>{text}</td>", class(column)),
    }
}

fn figures(figures: &[Figure]) -> String {
    let mut out = String::new();
    for Figure { file, alt, caption } in figures {
        let (file, alt, caption) = (escape(file), escape(alt), escape(caption));
        write!(
            out,
            "<figure>\n<a href=\"{file}\" title=\"Open the chart: its marks show their values\">\
             <img src=\"{file}\" alt=\"{alt}\" loading=\"lazy\"></a>\n\
             <figcaption>{caption}</figcaption>\n</figure>\n"
        )
        .expect("invariant: writing to a string cannot fail");
    }
    out
}

fn card(card: &Card) -> String {
    let fact = |(name, value): &(String, String)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value))
    };
    let facts: String = card.facts.iter().map(fact).collect();
    let facts = if facts.is_empty() { facts } else { format!("<dl>\n{facts}</dl>\n") };
    let (anchor, title) = (escape(&card.anchor), escape(&card.title));
    let figures = figures(&card.figures);
    format!("<article id=\"{anchor}\">\n<h3>{title}</h3>\n{facts}{figures}</article>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> SweepPage {
        SweepPage {
            title: "A <b> & \"c\"".to_owned(),
            command: "cosim sweep --set 'a=<1>'".to_owned(),
            summary_columns: vec![Column::text("device"), Column::number("TPOT", "ms")],
            rows: vec![
                vec![Cell::link("A100", "a100"), Cell::number("7.01", 7.01e-3)],
                vec![Cell::text("T4")],
            ],
            overview: vec![],
            cards: vec![Card {
                title: "A100".to_owned(),
                anchor: "a100".to_owned(),
                facts: vec![("TDP".to_owned(), "400 W".to_owned())],
                figures: vec![Figure {
                    file: "a100.svg".to_owned(),
                    alt: "roofline".to_owned(),
                    caption: "Roofline".to_owned(),
                }],
            }],
            notes: vec![],
        }
    }

    #[test]
    fn hostile_text_stays_text_and_empty_sections_vanish() {
        let html = page().to_html();
        assert!(html.contains("A &lt;b&gt; &amp; &quot;c&quot;") && !html.contains("<b>"));
        assert!(!html.contains("id=\"overview\"") && !html.contains("id=\"notes\""));
        assert_eq!(html, page().to_html());
    }

    #[test]
    fn numbers_sort_by_value_and_missing_ones_are_marked() {
        let html = page().to_html();
        assert!(html.contains("<td class=\"n\" data-sort=\"0.00701\">7.01</td>"));
        assert!(html.contains("<td class=\"n\" data-sort=\"\"></td>"));
        assert!(html.contains("<a href=\"#a100\">A100</a>") && html.contains("id=\"a100\""));
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let html = page().to_html();
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("//cdn"));
    }
}
