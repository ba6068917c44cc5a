//! Where the errors of a kernel's output are: heat maps over pairs of its axes.

use super::legend::{Entry, Sample, draw_legend, legend_height};
use super::page::{Head, MARGIN, draw_notes, note_lines, notes_height};
use super::step::Limit;
use super::svg::{Align, Canvas, Mark, Point, Rect, Text, Type};
use crate::validate::Map;

/// The maps of one output.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatChart<'a> {
    /// The verdict.
    pub title: String,
    /// The case.
    pub subtitle: String,
    /// Its maps, drawn one below the other.
    pub maps: &'a [Map],
}

/// Upper ends of the bands of error over tolerance, with colours and meaning; the last is open.
const BANDS: [(f64, &str, &str); 7] = [
    (0.25, "h3", "up to 1/4 of the tolerance"),
    (0.5, "h4", "to 1/2"),
    (1.0, "h5", "to 1: right"),
    (4.0, "h2", "to 4: wrong"),
    (100.0, "h1", "to 100"),
    (f64::MAX, "h0", "more"),
    (f64::INFINITY, "text", "NaN or infinite"),
];

const WIDTH: f64 = 960.0;
const GUTTER: f64 = 62.0;
/// Largest and smallest height of a map, and between maps.
const HEIGHTS: (f64, f64) = (420.0, 24.0);
const BELOW: f64 = 62.0;
/// Cells of an axis that can each have a label.
const LABELLED: (usize, usize) = (16, 24);

fn band(value: f64) -> usize {
    BANDS.iter().position(|(end, ..)| value <= *end).unwrap_or(BANDS.len() - 1)
}

/// Height of a map: cells as high as they are wide, within bounds.
fn height(map: &Map) -> f64 {
    let columns = map.cells.first().map_or(1, Vec::len).max(1) as f64;
    let cell = ((WIDTH - 2.0 * MARGIN - GUTTER) / columns).min(28.0);
    (cell * map.cells.len() as f64).clamp(HEIGHTS.1, HEIGHTS.0)
}

impl HeatChart<'_> {
    /// The chart as an SVG file.
    pub fn to_svg(&self) -> String {
        let (head, entries) = (Head::new(&self.title, &self.subtitle, WIDTH), self.legend());
        let room = WIDTH - 2.0 * MARGIN;
        let legend = head.height() + 6.0;
        let top = legend + legend_height(&entries, room) + 12.0;
        let maps: f64 = self.maps.iter().map(|m| height(m) + BELOW).sum();
        let notes = note_lines(&[self.note()], WIDTH);
        let canvas = Canvas::new(WIDTH, top + maps + notes_height(&notes));
        head.draw(&canvas);
        draw_legend(&canvas, Point::new(MARGIN, legend), room, &entries);
        let mut at = top;
        for (i, map) in self.maps.iter().enumerate() {
            let frame = Rect::new(MARGIN + GUTTER, at, room - GUTTER, height(map));
            canvas.group(&format!("map{i}"), || draw_map(&canvas, frame, map));
            at += height(map) + BELOW;
        }
        draw_notes(&canvas, at, &notes);
        canvas.finish(&self.title, &self.note())
    }

    fn note(&self) -> String {
        "Each cell is the worst of all elements that it stands for, in tolerances of the default policy."
            .to_owned()
    }

    fn legend(&self) -> Vec<Entry<'static>> {
        let cells = || self.maps.iter().flat_map(|m| m.cells.iter().flatten());
        let present = |i: &usize| cells().any(|&c| band(c) == *i);
        let entry = |i: usize| {
            let (_, class, text) = BANDS[i];
            Entry { sample: Sample::Square(class, Limit::Compute), text: text.to_owned() }
        };
        (0..BANDS.len()).filter(present).map(entry).collect()
    }
}

/// The axis's name, and what a cell stands for.
fn axis((name, _): (&str, u64), tile: u64) -> String {
    if tile == 1 { name.to_owned() } else { format!("{name} ({tile} a cell)") }
}

fn draw_map(canvas: &Canvas, frame: Rect, map: &Map) {
    let rows = map.cells.len();
    let columns = map.cells.first().map_or(1, Vec::len);
    let (width, height) = (frame.width() / columns as f64, frame.height() / rows as f64);
    let place = |row: usize, column: usize| {
        let x = frame.left + width * (column as f64 + 0.5);
        Point::new(x, frame.top + height * (row as f64 + 0.5))
    };
    for (r, row) in map.cells.iter().enumerate() {
        for (c, &value) in row.iter().enumerate() {
            let tooltip = match band(value) > 2 {
                true => format!(
                    "{} {}, {} {}: {value:.3}",
                    map.rows.0,
                    r as u64 * map.tile.0,
                    map.columns.0,
                    c as u64 * map.tile.1
                ),
                false => String::new(),
            };
            let mark = Mark { class: BANDS[band(value)].1, tooltip: &tooltip };
            canvas.rect(&Rect::around(place(r, c), width, height), mark);
        }
    }
    for column in (0..columns).step_by(columns.div_ceil(LABELLED.1).max(1)) {
        let at = Point::new(place(0, column).x, frame.bottom + 15.0);
        let label = (column as u64 * map.tile.1).to_string();
        canvas.text(at, &Text::new(&label, Type::Small, "muted").align(Align::Middle));
    }
    let fitting = ((frame.height() / 16.0) as usize).clamp(1, LABELLED.0);
    for row in (0..rows).step_by(rows.div_ceil(fitting).max(1)) {
        let at = Point::new(frame.left - 8.0, place(row, 0).y + 4.0);
        let label = (row as u64 * map.tile.0).to_string();
        canvas.text(at, &Text::new(&label, Type::Small, "muted").align(Align::End));
    }
    let below = Point::new(frame.center().x, frame.bottom + 35.0);
    let title = axis(map.columns, map.tile.1);
    canvas.text(below, &Text::new(&title, Type::Body, "text").align(Align::Middle));
    let title = axis(map.rows, map.tile.0);
    let title = Text::new(&title, Type::Body, "text");
    if title.width() > frame.height() {
        // Lower than its title is long.
        canvas.text(Point::new(frame.left - GUTTER, frame.top - 5.0), &title);
    } else {
        let beside = Point::new(frame.left - GUTTER + 22.0, frame.center().y);
        canvas.text(beside, &title.align(Align::Middle).turned(-90.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_at_its_tolerance_is_right() {
        let class = |value| BANDS[band(value)].1;
        assert_eq!(
            [0.0, 0.25, 1.0, 1.01, 4.0, 1e9].map(class),
            ["h3", "h3", "h5", "h2", "h2", "h0"]
        );
        assert_eq!(class(f64::INFINITY), "text");
    }
}
