//! What techniques buy, one behind the other: falling bars, each technique alone beside them.

use super::axis::{Axis, Better, Prefixes};
use super::page::{Head, MARGIN, draw_notes, note_lines, notes_height};
use super::svg::{Align, Canvas, Mark, Point, Rect, Segment, Text, Type, Weight, text_width, wrap};
use super::table::{Column, Table};
use crate::sweep::{Metric, Outcome, Status, Waterfall};

/// What the chart shows.
#[derive(Debug)]
pub struct WaterfallChart<'a> {
    /// Model and device.
    pub title: String,
    /// Workload.
    pub subtitle: String,
    /// The figure that is followed.
    pub metric: Metric,
    /// Its values.
    pub waterfall: &'a Waterfall,
    /// Footnotes.
    pub notes: Vec<String>,
}

const WIDTH: f64 = 960.0;
const STEP: f64 = 34.0;
/// A further line of a label.
const LABEL_LINE: f64 = 15.0;
const BAR: f64 = 16.0;
const MOST_LABEL: f64 = 300.0;
/// Room for a value with its gain, and for the gain alone.
const VALUES: f64 = 150.0;
const GAINS: f64 = 56.0;

/// Name, unit and prefixes of a metric.
pub fn axis(metric: Metric) -> Axis {
    let (name, unit, prefixes) = match metric {
        Metric::Tpot => ("TPOT", "s", Prefixes::Si),
        Metric::Ttft => ("TTFT", "s", Prefixes::Si),
        Metric::TimePerToken => ("time per output token of the batch", "s", Prefixes::Si),
        Metric::Cost => ("cost per million output tokens", "$", Prefixes::Plain),
        Metric::Energy => ("energy per output token", "J", Prefixes::Si),
        Metric::Memory => ("memory", "B", Prefixes::Si),
    };
    Axis::new(name, unit, prefixes, Better::Lower)
}

/// One line of the chart.
struct Line<'a> {
    label: &'a str,
    /// The value before it, and with it.
    from: Option<f64>,
    to: Option<f64>,
    alone: Option<f64>,
    outcome: &'a Outcome,
}

impl Line<'_> {
    /// Its label in lines.
    fn name(&self) -> Vec<String> {
        wrap(self.label, Type::Body.size(), Weight::Bold, MOST_LABEL)
    }
}

struct Columns {
    left: f64,
    right: f64,
    most: f64,
}

impl Columns {
    fn at(&self, value: f64) -> f64 {
        self.left + (value / self.most).clamp(0.0, 1.0) * (self.right - self.left)
    }
}

impl WaterfallChart<'_> {
    /// The chart as an SVG file.
    pub fn to_svg(&self) -> String {
        let (lines, head) = (self.lines(), Head::new(&self.title, &self.subtitle, WIDTH));
        let columns = self.columns(&lines);
        let top = head.height() + 30.0;
        let mut tops = vec![top];
        for line in &lines {
            let more = line.name().len().saturating_sub(1) as f64 * LABEL_LINE;
            tops.push(tops[tops.len() - 1] + STEP + more);
        }
        let bottom = tops[lines.len()];
        let mut notes = self.notes.clone();
        notes.push("Circles: the base with that technique alone.".to_owned());
        if lines.iter().any(|l| !fits(l.outcome)) {
            notes.push("Striped: does not fit the memory of the devices.".to_owned());
        }
        let notes = note_lines(&notes, WIDTH);
        let canvas = Canvas::new(WIDTH, bottom + 10.0 + notes_height(&notes));
        head.draw(&canvas);
        let title = axis(self.metric).title();
        let at = Point::new(columns.left, top - 12.0);
        canvas.text(at, &Text::new(&title, Type::Small, "muted"));
        canvas.group("waterfall", || {
            for (line, top) in lines.iter().zip(&tops) {
                self.draw_line(&canvas, &columns, *top, line);
            }
            let ends = [top - 4.0, bottom - 6.0].map(|y| Point::new(columns.left, y));
            canvas.line(Segment::new(ends[0], ends[1]), Mark::class("frame"));
        });
        draw_notes(&canvas, bottom + 10.0, &notes);
        canvas.finish(&self.title, &self.description(&lines))
    }

    /// The base, every stage, and all together.
    fn lines(&self) -> Vec<Line<'_>> {
        let fall = self.waterfall;
        let value = |o: &Outcome| o.value(self.metric);
        let full =
            |label, outcome| Line { label, from: None, to: value(outcome), alone: None, outcome };
        let mut lines = vec![full("base", &fall.base)];
        for (i, stage) in fall.stages.iter().enumerate() {
            lines.push(Line {
                label: &stage.label,
                from: fall.before(i, self.metric),
                to: value(&stage.together),
                alone: value(&stage.alone),
                outcome: &stage.together,
            });
        }
        if let Some(last) = fall.stages.last() {
            lines.push(full("together", &last.together));
        }
        lines
    }

    fn columns(&self, lines: &[Line<'_>]) -> Columns {
        let size = Type::Body.size();
        let names = lines.iter().flat_map(Line::name);
        let names = names.map(|name| text_width(&name, size, Weight::Bold));
        let values = lines.iter().flat_map(|l| [l.from, l.to, l.alone]).flatten();
        Columns {
            left: MARGIN + names.fold(0.0, f64::max).min(MOST_LABEL) + 12.0,
            right: WIDTH - MARGIN - VALUES,
            most: values.fold(f64::MIN_POSITIVE, f64::max),
        }
    }

    fn draw_line(&self, canvas: &Canvas, columns: &Columns, top: f64, line: &Line<'_>) {
        let axis = axis(self.metric);
        let base = top + BAR - 3.5;
        let total = line.from.is_none();
        let class = if total { "strong" } else { "text" };
        for (i, name) in line.name().iter().enumerate() {
            let name = Text::new(name, Type::Body, class).align(Align::End);
            canvas.text(Point::new(columns.left - 10.0, base + LABEL_LINE * i as f64), &name);
        }
        let Some(to) = line.to else {
            let text = Text::new(line.outcome.status.text(), Type::Small, "muted");
            canvas.text(Point::new(columns.left + 8.0, base), &text);
            return;
        };
        let from = line.from.unwrap_or(0.0);
        let (x0, x1) = (columns.at(from.min(to)), columns.at(from.max(to)));
        let class = match (total, to <= from) {
            (true, _) => "bar",
            (false, true) => "c6",
            (false, false) => "c1",
        };
        let shown = axis.value(to);
        let tooltip = format!("{}\n{}: {shown}", line.label, axis.name);
        let rect = Rect::new(x0, top, (x1 - x0).max(1.0), BAR);
        canvas.rect(&rect, Mark { class, tooltip: &tooltip });
        if !fits(line.outcome) {
            canvas.rect(&rect, Mark::class("diagonal"));
        }
        if let Some(alone) = line.alone {
            let tooltip = format!("{} alone: {}", line.label, axis.value(alone));
            let mark = Mark { class: "sample", tooltip: &tooltip };
            canvas.circle(Point::new(columns.at(alone), top + BAR + 6.0), 3.5, mark);
        }
        let right = |x: f64, text: &str| {
            let text = Text::new(text, Type::Small, "text").align(Align::End);
            canvas.text(Point::new(x, base), &text);
        };
        right(WIDTH - MARGIN - GAINS, &shown);
        if let Some(from) = line.from {
            right(WIDTH - MARGIN, &factor(from / to));
        }
    }

    fn description(&self, lines: &[Line<'_>]) -> String {
        let axis = axis(self.metric);
        let row = |l: &Line<'_>| {
            let value = l.to.map_or_else(|| l.outcome.status.text().to_owned(), |v| axis.value(v));
            format!("{}: {value}", l.label)
        };
        let rows: Vec<String> = lines.iter().map(row).collect();
        format!("{}. {}.", axis.title(), rows.join("; "))
    }

    /// Every technique alone and on top of those before it, with its interaction: what it gains
    /// here over what it gains alone.
    pub fn to_table(&self) -> Table {
        let axis = axis(self.metric);
        let mut table = Table::new(vec![
            Column::text("technique"),
            Column::number("alone", ""),
            Column::number("gain", ""),
            Column::number("together", ""),
            Column::number("gain", ""),
            Column::number("interaction", ""),
            Column::text("status"),
        ]);
        let shown = |v: Option<f64>| v.map_or("-".to_owned(), |v| axis.value(v));
        let times = |v: Option<f64>| v.map_or("-".to_owned(), factor);
        let base = shown(self.waterfall.base.value(self.metric));
        let mut first = vec!["base".to_owned(), base.clone(), String::new(), base];
        first.extend([String::new(), String::new(), status(&self.waterfall.base).to_owned()]);
        table.rows.push(first);
        for (i, stage) in self.waterfall.stages.iter().enumerate() {
            let (alone, together) = self.waterfall.gains(i, self.metric);
            let interaction = together.zip(alone).map(|(t, a)| t / a);
            table.rows.push(vec![
                stage.label.clone(),
                shown(stage.alone.value(self.metric)),
                times(alone),
                shown(stage.together.value(self.metric)),
                times(together),
                times(interaction),
                status(&stage.together).to_owned(),
            ]);
        }
        table
    }
}

fn factor(value: f64) -> String {
    format!("x{value:.2}")
}

fn fits(outcome: &Outcome) -> bool {
    outcome.figures.as_ref().is_some_and(|f| f.capacity.fits)
}

fn status(outcome: &Outcome) -> &str {
    match outcome.status {
        Status::Ok => "",
        _ => outcome.status.text(),
    }
}
