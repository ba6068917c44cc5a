//! Legends: rows of samples with their meaning.

use super::step::Limit;
use super::svg::{Canvas, Mark, Point, Rect, Text, Type};

/// How a sample is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sample<'a> {
    /// A circle of a radius, with classes.
    Circle(f64, &'a str),
    /// A diamond of a half diagonal, with classes.
    Diamond(f64, &'a str),
    /// A triangle of a reach, with classes.
    Triangle(f64, &'a str),
    /// A filled square, textured as the limit's bars are.
    Square(&'a str, Limit),
    /// A mark of a group of accelerators.
    Shape(usize),
    /// A line.
    Line(&'a str),
    /// Words only.
    None,
}

/// A sample and what it means.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry<'a> {
    pub(super) sample: Sample<'a>,
    pub(super) text: String,
}

const GAP: f64 = 18.0;
const ROW: f64 = 22.0;

impl Entry<'_> {
    fn sample_width(&self) -> f64 {
        match self.sample {
            Sample::Circle(r, _) | Sample::Diamond(r, _) | Sample::Triangle(r, _) => 2.0 * r + 6.0,
            Sample::Square(..) | Sample::Shape(_) => 19.0,
            Sample::Line(_) => 28.0,
            Sample::None => 0.0,
        }
    }

    fn width(&self) -> f64 {
        self.sample_width() + Text::new(&self.text, Type::Body, "text").width()
    }
}

/// Height of the legend when wrapped to `room`.
pub(super) fn legend_height(entries: &[Entry<'_>], room: f64) -> f64 {
    positions(entries, room).last().map_or(0.0, |(_, y)| y + ROW)
}

/// Offsets of the entries, wrapped to `room`.
fn positions(entries: &[Entry<'_>], room: f64) -> Vec<(f64, f64)> {
    let (mut x, mut y) = (0.0, 0.0);
    let mut offsets = vec![];
    for entry in entries {
        if x > 0.0 && x + entry.width() > room {
            (x, y) = (0.0, y + ROW);
        }
        offsets.push((x, y));
        x += entry.width() + GAP;
    }
    offsets
}

/// Draws the legend with its upper left corner at `at`.
pub(super) fn draw_legend(canvas: &Canvas, at: Point, room: f64, entries: &[Entry<'_>]) {
    canvas.group("legend", || {
        for (entry, (dx, dy)) in entries.iter().zip(positions(entries, room)) {
            let middle = at.shifted(dx, dy + ROW / 2.0);
            draw_sample(canvas, middle, entry);
            let text = middle.shifted(entry.sample_width(), 4.3);
            canvas.text(text, &Text::new(&entry.text, Type::Body, "text"));
        }
    });
}

fn draw_sample(canvas: &Canvas, at: Point, entry: &Entry<'_>) {
    match entry.sample {
        Sample::Circle(r, class) => canvas.circle(at.shifted(r, 0.0), r, Mark::class(class)),
        Sample::Diamond(r, class) => canvas.diamond(at.shifted(r, 0.0), r, Mark::class(class)),
        Sample::Triangle(r, class) => canvas.triangle(at.shifted(r, 0.0), r, Mark::class(class)),
        Sample::Square(class, limit) => {
            let square = Rect::new(at.x, at.y - 6.5, 13.0, 13.0);
            draw_textured(canvas, &square, class, limit, "");
        }
        Sample::Shape(group) => draw_shape(canvas, at.shifted(6.5, 0.0), group, ""),
        Sample::Line(class) => {
            canvas.path(&[at, at.shifted(22.0, 0.0)], Mark::class(class));
        }
        Sample::None => {}
    }
}

/// A rectangle filled with a class and textured by what limits it: compute is plain.
pub(super) fn draw_textured(canvas: &Canvas, rect: &Rect, class: &str, limit: Limit, tip: &str) {
    let fill = format!("{class} edge");
    let texture = match limit {
        Limit::Compute => return canvas.rect(rect, Mark { class: &fill, tooltip: tip }),
        Limit::Memory => "diagonal",
        Limit::Link => "crossed",
        Limit::Overhead => "dotted",
    };
    canvas.rect(rect, Mark { class: &fill, tooltip: tip });
    canvas.rect(rect, Mark { class: texture, tooltip: tip });
}

/// The mark of a group: colour and shape both differ from the neighbours'.
pub(super) fn draw_shape(canvas: &Canvas, at: Point, group: usize, tooltip: &str) {
    let class = format!("c{} edge", GROUP_COLORS[group % GROUP_COLORS.len()]);
    let mark = Mark { class: &class, tooltip };
    match group % 4 {
        0 => canvas.circle(at, SHAPE_REACH, mark),
        1 => canvas.diamond(at, SHAPE_REACH * 1.2, mark),
        2 => canvas.rect(&Rect::around(at, SHAPE_REACH * 1.75, SHAPE_REACH * 1.75), mark),
        _ => canvas.triangle(at, SHAPE_REACH * 1.2, mark),
    }
}

/// Reach of a group's mark.
pub(super) const SHAPE_REACH: f64 = 5.5;
const GROUP_COLORS: [usize; 9] = [0, 1, 3, 9, 5, 6, 10, 7, 8];
