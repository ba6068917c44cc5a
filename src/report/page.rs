//! What every chart has around its plot: title and subtitle above, footnotes below.

use super::svg::{Canvas, Point, Text, Type, ellipsis, wrap};

/// Space at the left and right edge.
pub(super) const MARGIN: f64 = 28.0;
const LINE: f64 = 15.5;

/// Draws title and subtitle; what follows may start at [`head_height`].
pub(super) fn draw_head(canvas: &Canvas, title: &str, subtitle: &str) {
    let room = canvas.size().0 - 2.0 * MARGIN;
    canvas.group("head", || {
        let title = ellipsis(title, Type::Title.size(), true, room);
        canvas.text(Point::new(MARGIN, 36.0), &Text::new(&title, Type::Title, "title"));
        let subtitle = ellipsis(subtitle, Type::Subtitle.size(), false, room);
        if !subtitle.is_empty() {
            canvas.text(Point::new(MARGIN, 57.0), &Text::new(&subtitle, Type::Subtitle, "muted"));
        }
    });
}

/// Height of title and subtitle.
pub(super) fn head_height(subtitle: &str) -> f64 {
    if subtitle.is_empty() { 48.0 } else { 68.0 }
}

/// Footnotes, wrapped to the width of the picture.
pub(super) fn note_lines(notes: &[String], width: f64) -> Vec<String> {
    let room = width - 2.0 * MARGIN;
    notes.iter().flat_map(|note| wrap(note, Type::Note.size(), room)).collect()
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
        v if v == 0.0 => "0 %".to_owned(),
        v if v < 0.1 => "<0.1 %".to_owned(),
        v if v < 9.95 => format!("{v:.1} %"),
        v => format!("{v:.0} %"),
    }
}
