//! Accelerators ranked by one number, those without a number at the end with the reason.

use super::axis::{Axis, Better};
use super::page::{Head, MARGIN, draw_notes, note_lines, notes_height};
use super::svg::{
    Align, Canvas, Mark, Point, Rect, Segment, Text, Type, Weight, ellipsis, text_width,
};

/// What ranked bars show.
#[derive(Debug, Clone, PartialEq)]
pub struct BarsChart {
    /// The question.
    pub title: String,
    /// Workload.
    pub subtitle: String,
    /// The number; its better end comes first.
    pub axis: Axis,
    /// Accelerators in any order.
    pub bars: Vec<Bar>,
    /// Footnotes.
    pub notes: Vec<String>,
}

/// An accelerator.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Its name.
    pub label: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What 80 % of measurements lie between, in the axis' unit.
    pub range: Option<[f64; 2]>,
    /// Further lines of the tooltip.
    pub detail: String,
}

/// A number, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// In the axis' unit, without prefix.
    Value(f64),
    /// `does not fit: 13.5 GB of weights, 8 GB of memory`.
    Status(String),
}

const WIDTH: f64 = 960.0;
const STEP: f64 = 22.0;
const BAR: f64 = 14.0;
const MOST_LABEL: f64 = 260.0;

/// Where names end and bars run.
struct Columns {
    left: f64,
    room: f64,
    top_value: f64,
}

impl BarsChart {
    /// The chart as an SVG file.
    pub fn to_svg(&self) -> String {
        let (ranked, columns) = (self.ranked(), self.columns());
        let head = Head::new(&self.title, &self.subtitle, WIDTH);
        let top = head.height() + 26.0;
        let bottom = top + STEP * ranked.len() as f64 + 8.0;
        let notes = note_lines(&self.notes, WIDTH);
        let canvas = Canvas::new(WIDTH, bottom + notes_height(&notes));
        head.draw(&canvas);
        let name = Point::new(columns.left, top - 10.0);
        let title = self.axis.title();
        canvas.text(name, &Text::new(&title, Type::Small, "muted"));
        canvas.group("bars", || {
            for (row, bar) in ranked.iter().enumerate() {
                self.draw_bar(&canvas, top + STEP * row as f64, bar, &columns);
            }
            let ends = [top - 3.0, bottom - 8.0].map(|y| Point::new(columns.left, y));
            canvas.line(Segment::new(ends[0], ends[1]), Mark::class("frame"));
        });
        draw_notes(&canvas, bottom, &notes);
        canvas.finish(&self.title, &self.description(&ranked))
    }

    /// The better value first; those without value last, by name.
    fn ranked(&self) -> Vec<&Bar> {
        let mut ranked: Vec<&Bar> = self.bars.iter().collect();
        let key = |bar: &Bar| match (&bar.outcome, self.axis.better) {
            (Outcome::Value(v), Better::Lower) => *v,
            (Outcome::Value(v), Better::Higher) => -v,
            (Outcome::Status(_), _) => f64::INFINITY,
        };
        ranked.sort_by(|a, b| key(a).total_cmp(&key(b)).then(a.label.cmp(&b.label)));
        ranked
    }

    fn columns(&self) -> Columns {
        let size = Type::Small.size();
        let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max);
        let names =
            widest(&mut self.bars.iter().map(|b| text_width(&b.label, size, Weight::Regular)));
        let values = self.bars.iter().filter_map(|b| match b.outcome {
            Outcome::Value(v) if v.is_finite() => Some(v),
            _ => None,
        });
        let values: Vec<f64> = values.collect();
        let high = self.bars.iter().filter_map(|b| Some(b.range?[1])).filter(|v| v.is_finite());
        let text = |v: &f64| text_width(&self.axis.value(*v), size, Weight::Regular);
        let shown = widest(&mut values.iter().map(text));
        let left = MARGIN + names.min(MOST_LABEL) + 10.0;
        let top_value = values.iter().copied().chain(high).fold(f64::MIN_POSITIVE, f64::max);
        Columns { left, room: WIDTH - MARGIN - left - shown - 10.0, top_value }
    }

    fn draw_bar(&self, canvas: &Canvas, top: f64, bar: &Bar, columns: &Columns) {
        let base = top + BAR - 3.0;
        let size = Type::Small.size();
        let name = ellipsis(&bar.label, size, Weight::Regular, MOST_LABEL);
        let name = Text::new(&name, Type::Small, "text").align(Align::End);
        canvas.text(Point::new(columns.left - 9.0, base), &name);
        match &bar.outcome {
            Outcome::Value(value) => {
                let width = (value / columns.top_value).clamp(0.0, 1.0) * columns.room;
                let shown = self.axis.value(*value);
                let within = bar.range.map_or(String::new(), |[low, high]| {
                    format!("\n80 %: {} to {}", self.axis.value(low), self.axis.value(high))
                });
                let name = &self.axis.name;
                let tooltip = format!("{}\n{name}: {shown}{within}\n{}", bar.label, bar.detail);
                let mark = Mark { class: "bar", tooltip: tooltip.trim_end() };
                canvas.rect(&Rect::new(columns.left, top, width, BAR), mark);
                let end = draw_range(canvas, top, bar, columns).max(columns.left + width);
                let at = Point::new(end + 6.0, base);
                canvas.text(at, &Text::new(&shown, Type::Small, "text"));
            }
            Outcome::Status(reason) => {
                let room = WIDTH - MARGIN - columns.left - 8.0;
                let reason = ellipsis(reason, size, Weight::Regular, room);
                let at = Point::new(columns.left + 8.0, base);
                canvas.text(at, &Text::new(&reason, Type::Small, "muted"));
            }
        }
    }

    fn description(&self, ranked: &[&Bar]) -> String {
        let row = |bar: &&Bar| match &bar.outcome {
            Outcome::Value(value) => format!("{}: {}", bar.label, self.axis.value(*value)),
            Outcome::Status(reason) => format!("{}: {reason}", bar.label),
        };
        let rows: Vec<String> = ranked.iter().map(row).collect();
        format!("{}. {}.", self.axis.title(), rows.join("; "))
    }
}

/// A line from the low to the high value, with ends, over the bar's end; where it ends.
fn draw_range(canvas: &Canvas, top: f64, bar: &Bar, columns: &Columns) -> f64 {
    let Some(edges) = bar.range else { return 0.0 };
    let x = edges.map(|v| columns.left + (v / columns.top_value).clamp(0.0, 1.0) * columns.room);
    let middle = top + BAR / 2.0;
    let mark = || Mark::class("range");
    canvas.line(Segment::new(Point::new(x[0], middle), Point::new(x[1], middle)), mark());
    for x in x {
        canvas.line(Segment::new(Point::new(x, top + 3.0), Point::new(x, top + BAR - 3.0)), mark());
    }
    x[1]
}
