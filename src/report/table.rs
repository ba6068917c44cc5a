//! Tables for terminals and for Markdown, and bars of text.

use comfy_table::{
    Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, ContentLineStyle,
    LineStyle, TableStyle,
};

/// A table of text; numbers come already written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// What the columns are.
    pub columns: Vec<Column>,
    /// A text per column; a row that is short is filled with nothing.
    pub rows: Vec<Vec<String>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What it says.
    pub name: String,
    /// The unit of its numbers; empty where they have none.
    pub unit: String,
    /// How it is aligned and sorted.
    pub kind: ColumnKind,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Words, at the left.
    Text,
    /// Numbers, at the right, never broken.
    Number,
}

/// Where a table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// A file or a pipe: as wide as the content, no escape codes.
    Plain,
    /// A terminal of so many columns: words wrap, the head is bold.
    Wide(u16),
}

impl Column {
    /// A column of words.
    pub fn text(name: &str) -> Self {
        Self { name: name.to_owned(), unit: String::new(), kind: ColumnKind::Text }
    }

    /// A column of numbers in a unit.
    pub fn number(name: &str, unit: &str) -> Self {
        Self { name: name.to_owned(), unit: unit.to_owned(), kind: ColumnKind::Number }
    }

    const fn alignment(&self) -> CellAlignment {
        match self.kind {
            ColumnKind::Text => CellAlignment::Left,
            ColumnKind::Number => CellAlignment::Right,
        }
    }
}

impl Table {
    /// A table without rows.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: vec![] }
    }

    /// The table as lines of text, units under the names.
    pub fn to_terminal(&self, terminal: Terminal) -> String {
        let mut table = comfy_table::Table::new();
        let rule = LineStyle::none().fill('─').junction('─');
        let style = TableStyle::new().header_separator(rule);
        let gap = ContentLineStyle::none();
        table.load_style(style.header_lines(gap).content_lines(gap)).force_no_tty();
        let mut bold = None;
        if let Terminal::Wide(columns) = terminal {
            table.set_width(columns).set_content_arrangement(ContentArrangement::Dynamic);
            table.enforce_styling();
            bold = Some(Attribute::Bold);
        }
        let units = self.columns.iter().any(|c| !c.unit.is_empty());
        table.set_header(self.columns.iter().map(|c| head(c, units, bold)).collect::<Vec<_>>());
        for row in &self.rows {
            table.add_row(self.cells(row).map(printable).collect::<Vec<_>>());
        }
        for (column, shape) in self.columns.iter().zip(table.column_iter_mut()) {
            shape.set_cell_alignment(column.alignment());
            if column.kind == ColumnKind::Number {
                shape.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table.lines().map(|l| l.trim_end().to_owned() + "\n").collect()
    }

    /// The table in Markdown, units in the head.
    pub fn to_markdown(&self) -> String {
        let name = |c: &Column| match c.unit.as_str() {
            "" => markdown(&c.name),
            unit => format!("{} ({})", markdown(&c.name), markdown(unit)),
        };
        let rule = |c: &Column| match c.kind {
            ColumnKind::Text => "---".to_owned(),
            ColumnKind::Number => "---:".to_owned(),
        };
        let mut out = line(self.columns.iter().map(name));
        out.push_str(&line(self.columns.iter().map(rule)));
        for row in &self.rows {
            out.push_str(&line(self.cells(row).map(markdown)));
        }
        out
    }

    /// A cell per column, whatever the row's length.
    fn cells<'a>(&'a self, row: &'a [String]) -> impl Iterator<Item = &'a str> {
        (0..self.columns.len()).map(|i| row.get(i).map_or("", String::as_str))
    }
}

fn head(column: &Column, units: bool, bold: Option<Attribute>) -> Cell {
    let (name, unit) = (printable(&column.name), printable(&column.unit));
    let text = if units { format!("{name}\n{unit}") } else { name };
    let cell = Cell::new(text).set_alignment(column.alignment());
    match bold {
        Some(bold) => cell.add_attribute(bold),
        None => cell,
    }
}

/// Control characters of a hostile name never reach the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn markdown(text: &str) -> String {
    printable(text).replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;")
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// A bar of a fraction of `width` characters, in eighths of a character; always `width` wide.
pub fn share_bar(fraction: f64, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let clamped = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
    let filled = (clamped * width as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(filled / 8);
    if filled / 8 < width {
        bar.push(EIGHTHS[filled % 8]);
        bar.push_str(&" ".repeat(width - filled / 8 - 1));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect();
        Table {
            columns: vec![
                Column::text("device"),
                Column::number("TPOT", "ms"),
                Column::text("bound"),
            ],
            rows: vec![row(&["A100 | 80 GB", "7.01", "DRAM"]), row(&["T4", "does not fit"])],
        }
    }

    #[test]
    fn plain_text_has_units_and_right_aligned_numbers() {
        let expected = [
            " device                 TPOT   bound",
            "                          ms",
            "─────────────────────────────────────",
            " A100 | 80 GB           7.01   DRAM",
            " T4             does not fit",
            "",
        ]
        .join("\n");
        assert_eq!(table().to_terminal(Terminal::Plain), expected);
    }

    #[test]
    fn a_narrow_terminal_wraps_words_but_not_numbers() {
        let shown = table().to_terminal(Terminal::Wide(34));
        assert!(shown.contains("7.01") && shown.contains("\u{1b}[1m"), "{shown}");
    }

    #[test]
    fn markdown_escapes_and_aligns() {
        let expected = "\
| device | TPOT (ms) | bound |
| --- | ---: | --- |
| A100 \\| 80 GB | 7.01 | DRAM |
| T4 | does not fit |  |
";
        assert_eq!(table().to_markdown(), expected);
    }

    #[test]
    fn bars_are_as_wide_as_asked() {
        assert_eq!(share_bar(0.5, 4), "██  ");
        assert_eq!(share_bar(0.28, 4), "█▏  ");
        for fraction in [-1.0, 0.0, 0.013, 0.5, 0.999, 1.0, 7.0, f64::NAN] {
            assert_eq!(share_bar(fraction, 10).chars().count(), 10);
        }
    }
}
