//! What every chart has around its plot: title and subtitle above, footnotes below.

use super::svg::{Canvas, Point, Text, Type, Weight, wrap};

/// Space at the left and right edge.
pub(super) const MARGIN: f64 = 28.0;
const LINE: f64 = 15.5;

/// Title and subtitle, in as many lines as they need.
pub(super) struct Head {
    title: Vec<String>,
    subtitle: Vec<String>,
}

const TITLE_LINE: f64 = 24.0;
const SUBTITLE_LINE: f64 = 18.0;

impl Head {
    pub(super) fn new(title: &str, subtitle: &str, width: f64) -> Self {
        let room = width - 2.0 * MARGIN;
        Self {
            title: wrap(title, Type::Title.size(), Weight::Bold, room),
            subtitle: wrap(subtitle, Type::Subtitle.size(), Weight::Regular, room),
        }
    }

    /// Where what follows may start.
    pub(super) fn height(&self) -> f64 {
        let lines = (self.title.len() as f64, self.subtitle.len() as f64);
        24.0 + TITLE_LINE * lines.0 + SUBTITLE_LINE * lines.1
    }

    pub(super) fn draw(&self, canvas: &Canvas) {
        canvas.group("head", || {
            let mut base = 36.0;
            for line in &self.title {
                canvas.text(Point::new(MARGIN, base), &Text::new(line, Type::Title, "title"));
                base += TITLE_LINE;
            }
            for line in &self.subtitle {
                let text = Text::new(line, Type::Subtitle, "muted");
                canvas.text(Point::new(MARGIN, base - 3.0), &text);
                base += SUBTITLE_LINE;
            }
        });
    }
}

/// Names in a sentence, the first dozen.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// Footnotes, wrapped to the width of the picture.
pub(super) fn note_lines(notes: &[String], width: f64) -> Vec<String> {
    let room = width - 2.0 * MARGIN;
    notes.iter().flat_map(|note| wrap(note, Type::Note.size(), Weight::Regular, room)).collect()
}

/// Height of the footnotes with the space around them.
pub(super) fn notes_height(lines: &[String]) -> f64 {
    18.0 + LINE * lines.len() as f64
}

/// Draws the footnotes from `top` on.
pub(super) fn draw_notes(canvas: &Canvas, top: f64, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    canvas.group("notes", || {
        for (index, line) in lines.iter().enumerate() {
            let at = Point::new(MARGIN, top + LINE * (index as f64 + 0.8));
            canvas.text(at, &Text::new(line, Type::Note, "muted"));
        }
    });
}

/// A share as people write it: `12 %`, `0.4 %`.
pub(super) fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value {
        0.0 => "0 %".to_owned(),
        v if v < 0.1 => "<0.1 %".to_owned(),
        v if v < 9.95 => format!("{v:.1} %"),
        v => format!("{v:.0} %"),
    }
}
