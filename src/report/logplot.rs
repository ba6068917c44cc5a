//! A log-log plot's frame, grid and axes.

use super::svg::{Align, Canvas, Mark, Point, Rect, Segment, Text, Type};
use plotters::coord::CoordTranslate;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::combinators::{IntoLogRange, LogCoord};
use std::ops::Range;

/// Backend units a pixel, so that positions keep their fractions.
const UNITS: f64 = 64.0;

/// Maps data to places in its frame.
pub(super) struct LogPlot {
    pub(super) frame: Rect,
    pub(super) x: Range<f64>,
    pub(super) y: Range<f64>,
    coord: Cartesian2d<LogCoord<f64>, LogCoord<f64>>,
}

/// How an axis is named and its ticks are written.
pub(super) struct AxisText<'a> {
    pub(super) title: &'a str,
    pub(super) tick: &'a dyn Fn(f64) -> String,
}

impl LogPlot {
    pub(super) fn new(frame: Rect, x: Range<f64>, y: Range<f64>) -> Self {
        let [left, right, top, bottom] =
            [frame.left, frame.right, frame.top, frame.bottom].map(|v| (v * UNITS) as i32);
        let logs = (x.clone().log_scale(), y.clone().log_scale());
        let coord = Cartesian2d::new(logs.0, logs.1, (left..right, bottom..top));
        Self { frame, x, y, coord }
    }

    /// Where a pair of positive values lies.
    pub(super) fn at(&self, x: f64, y: f64) -> Point {
        let (x, y) = self.coord.translate(&(x, y));
        Point::new(f64::from(x) / UNITS, f64::from(y) / UNITS)
    }

    /// Grid lines under everything else.
    pub(super) fn draw_grid(&self, canvas: &Canvas) {
        canvas.group("grid", || {
            for (class, pick) in [("minor", false), ("grid", true)] {
                for x in ticks(&self.x).into_iter().filter(|t| t.labelled == pick) {
                    let x = self.at(x.value, self.y.start).x;
                    let ends = [self.frame.top, self.frame.bottom].map(|y| Point::new(x, y));
                    canvas.line(Segment::new(ends[0], ends[1]), Mark::class(class));
                }
                for y in ticks(&self.y).into_iter().filter(|t| t.labelled == pick) {
                    let y = self.at(self.x.start, y.value).y;
                    let ends = [self.frame.left, self.frame.right].map(|x| Point::new(x, y));
                    canvas.line(Segment::new(ends[0], ends[1]), Mark::class(class));
                }
            }
        });
    }

    /// Frame, tick labels and axis titles; `gutter` is the room left of the frame.
    pub(super) fn draw_axes(&self, canvas: &Canvas, x: &AxisText, y: &AxisText, gutter: f64) {
        canvas.group("axes", || {
            canvas.path(&outline(&self.frame), Mark::class("frame"));
            for value in ticks(&self.x).into_iter().filter(|t| t.labelled).map(|t| t.value) {
                let at = Point::new(self.at(value, self.y.start).x, self.frame.bottom + 17.0);
                let label = (x.tick)(value);
                canvas.text(at, &Text::new(&label, Type::Small, "muted").align(Align::Middle));
            }
            for value in ticks(&self.y).into_iter().filter(|t| t.labelled).map(|t| t.value) {
                let at = Point::new(self.frame.left - 8.0, self.at(self.x.start, value).y + 4.0);
                let label = (y.tick)(value);
                canvas.text(at, &Text::new(&label, Type::Small, "muted").align(Align::End));
            }
            let below = Point::new(self.frame.center().x, self.frame.bottom + 39.0);
            canvas.text(below, &Text::new(x.title, Type::Body, "text").align(Align::Middle));
            let beside = Point::new(self.frame.left - gutter + 14.0, self.frame.center().y);
            let title = Text::new(y.title, Type::Body, "text").align(Align::Middle).turned(-90.0);
            canvas.text(beside, &title);
        });
    }
}

fn outline(frame: &Rect) -> [Point; 5] {
    let corner = Point::new(frame.left, frame.top);
    let (width, height) = (frame.width(), frame.height());
    [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height), (0.0, 0.0)]
        .map(|(dx, dy)| corner.shifted(dx, dy))
}

/// A grid line; the labelled ones are the decades, or 1-2-5 where there are few decades.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tick {
    value: f64,
    labelled: bool,
}

fn ticks(range: &Range<f64>) -> Vec<Tick> {
    let (first, last) = (range.start.log10().floor() as i32, range.end.log10().ceil() as i32);
    let inside = |v: &f64| *v >= range.start * (1.0 - 1e-9) && *v <= range.end * (1.0 + 1e-9);
    let labelled: &[u32] = match (first..=last).filter(|e| inside(&10f64.powi(*e))).count() {
        0 | 1 if range.end / range.start < 5.0 => &[1, 2, 3, 4, 5, 6, 7, 8, 9],
        0..=2 => &[1, 2, 5],
        _ => &[1],
    };
    (first..=last)
        .flat_map(|e| (1..10u32).map(move |digit| (digit, f64::from(digit) * 10f64.powi(e))))
        .filter(|(_, value)| inside(value))
        .map(|(digit, value)| Tick { value, labelled: labelled.contains(&digit) })
        .collect()
}

/// The range of positive values with room around them, in decades, and a least extent.
pub(super) fn padded(values: impl Iterator<Item = f64>, room: f64, least: f64) -> Range<f64> {
    let logs = values.filter(|v| *v > 0.0 && v.is_finite()).map(f64::log10);
    let (low, high) =
        logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
    let missing = (least - (high - low + 2.0 * room)).max(0.0) / 2.0;
    10f64.powf(low - room - missing)..10f64.powf(high + room + missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_are_labelled_and_narrow_ranges_get_more() {
        let labelled =
            |r| -> Vec<f64> { ticks(&r).iter().filter(|t| t.labelled).map(|t| t.value).collect() };
        assert_eq!(labelled(0.5..2000.0), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(labelled(0.3..12.0), [0.5, 1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn decades_are_evenly_spaced() {
        let plot = LogPlot::new(Rect::new(0.0, 0.0, 300.0, 100.0), 1.0..1000.0, 1.0..10.0);
        let x: Vec<f64> = [1.0, 10.0, 100.0].iter().map(|x| plot.at(*x, 1.0).x).collect();
        assert!((x[1] - x[0] - 100.0).abs() < 0.05 && (x[2] - x[1] - 100.0).abs() < 0.05);
    }
}
