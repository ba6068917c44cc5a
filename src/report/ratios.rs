//! Simulated over published, figure by figure, around the line where both agree.

use super::axis::{Axis, Better, Prefixes};
use super::page::{Head, MARGIN, draw_notes, note_lines, notes_height};
use super::svg::{
    Align, Canvas, Mark, Point, Rect, Segment, Text, Type, Weight, ellipsis, text_width,
};
use super::table::{Column, Table};
use crate::reproduce::{Figure, Reproduction};

/// What the chart of ratios shows.
#[derive(Debug, Clone, PartialEq)]
pub struct RatioChart {
    /// The paper.
    pub title: String,
    /// Where it was published.
    pub subtitle: String,
    /// Label, ratio and tooltip of each figure that has both values.
    pub rows: Vec<(String, f64, String)>,
    /// Footnotes.
    pub notes: Vec<String>,
}

const WIDTH: f64 = 960.0;
const STEP: f64 = 20.0;
const MOST_LABEL: f64 = 430.0;
const VALUES: f64 = 64.0;

impl RatioChart {
    /// The figures of a reproduction that have both values.
    pub fn new(title: &str, citation: &str, reproduction: &Reproduction) -> Self {
        let row = |f: &Figure| {
            let detail = format!("{}\npublished {}\nsimulated {}", f.what, both(f).0, both(f).1);
            f.ratio().map(|ratio| (f.what.clone(), ratio, detail))
        };
        Self {
            title: title.to_owned(),
            subtitle: citation.to_owned(),
            rows: reproduction.figures.iter().filter_map(row).collect(),
            notes: reproduction.remarks.clone(),
        }
    }

    /// The chart as an SVG file.
    pub fn to_svg(&self) -> String {
        let head = Head::new(&self.title, &self.subtitle, WIDTH);
        let top = head.height() + 34.0;
        let bottom = top + STEP * self.rows.len() as f64;
        let notes = note_lines(&self.notes, WIDTH);
        let canvas = Canvas::new(WIDTH, bottom + 12.0 + notes_height(&notes));
        head.draw(&canvas);
        let scale = Scale::new(&self.rows);
        self.draw_frame(&canvas, &scale, top, bottom);
        canvas.group("ratios", || {
            for (i, (label, ratio, detail)) in self.rows.iter().enumerate() {
                let y = top + STEP * (i as f64 + 0.5);
                draw_row(&canvas, &scale, y, (label, *ratio, detail));
            }
        });
        draw_notes(&canvas, bottom + 12.0, &notes);
        canvas.finish(&self.title, &self.description())
    }

    fn draw_frame(&self, canvas: &Canvas, scale: &Scale, top: f64, bottom: f64) {
        let axis = Axis::new("simulated / published", "", Prefixes::Plain, Better::Lower);
        let title = Text::new(&axis.name, Type::Small, "muted");
        canvas.text(Point::new(scale.left, top - 24.0), &title);
        canvas.group("grid", || {
            for tick in scale.ticks() {
                let x = scale.at(tick);
                let class = if tick == 1.0 { "frame" } else { "grid" };
                let line = Segment::new(Point::new(x, top - 4.0), Point::new(x, bottom));
                canvas.line(line, Mark::class(class));
                let label = axis.tick(tick);
                let text = Text::new(&label, Type::Small, "muted").align(Align::Middle);
                canvas.text(Point::new(x, top - 8.0), &text);
            }
        });
    }

    fn description(&self) -> String {
        let row = |(label, ratio, _): &(String, f64, String)| format!("{label}: {ratio:.3}");
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        format!("Simulated over published. {}.", rows.join("; "))
    }
}

/// A logarithmic scale that holds 1 and every ratio.
struct Scale {
    left: f64,
    right: f64,
    low: f64,
    high: f64,
}

impl Scale {
    fn new(rows: &[(String, f64, String)]) -> Self {
        let size = Type::Small.size();
        let width = |label: &str| text_width(label, size, Weight::Regular);
        let names = rows.iter().map(|r| width(&r.0)).fold(0.0, f64::max).min(MOST_LABEL);
        let logs = rows.iter().map(|r| r.1.log2());
        let (low, high) = logs.fold((-0.5, 0.5), |(l, h): (f64, f64), v| (l.min(v), h.max(v)));
        let (left, right) = (MARGIN + names + 22.0, WIDTH - MARGIN - VALUES);
        Self { left, right, low: low - 0.15, high: high + 0.15 }
    }

    fn at(&self, ratio: f64) -> f64 {
        let share = (ratio.log2() - self.low) / (self.high - self.low);
        self.left + share * (self.right - self.left)
    }

    /// Powers of two, or of more where the scale is wide; near 1 finer ones.
    fn ticks(&self) -> Vec<f64> {
        let all: &[f64] = if self.high - self.low < 2.0 {
            &[0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0]
        } else if self.high - self.low < 6.0 {
            &[0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
        } else {
            &[0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
        };
        let inside = |t: &&f64| (self.low..=self.high).contains(&t.log2());
        all.iter().filter(inside).copied().collect()
    }
}

fn draw_row(canvas: &Canvas, scale: &Scale, y: f64, (label, ratio, detail): (&str, f64, &str)) {
    let size = Type::Small.size();
    let shown = ellipsis(label, size, Weight::Regular, MOST_LABEL);
    let name = Text::new(&shown, Type::Small, "text").align(Align::End);
    canvas.text(Point::new(scale.left - 12.0, y + 4.0), &name);
    let (one, x) = (scale.at(1.0), scale.at(ratio));
    let bar = Rect::new(one.min(x), y - 2.0, (x - one).abs().max(0.5), 4.0);
    canvas.rect(&bar, Mark::class("bar"));
    canvas.circle(Point::new(x, y), 4.0, Mark { class: "bar", tooltip: detail });
    let value = format!("{ratio:.3}");
    let text = Text::new(&value, Type::Small, "text").align(Align::End);
    canvas.text(Point::new(WIDTH - MARGIN, y + 4.0), &text);
}

/// Published and simulated value as text with their unit.
fn both(figure: &Figure) -> (String, String) {
    let shown = |v: Option<f64>| v.map_or(String::new(), |v| significant(v, &figure.unit));
    (shown(figure.published), shown(figure.simulated))
}

/// Four significant digits and the unit.
fn significant(value: f64, unit: &str) -> String {
    let places = match value.abs() {
        v if v == 0.0 || v >= 1000.0 => 0,
        v => (3.0 - v.log10().floor()).clamp(0.0, 9.0) as usize,
    };
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    format!("{value:.places$}{unit}")
}

/// The figures as a table.
pub fn figures_table(reproduction: &Reproduction) -> Table {
    let mut table = Table::new(vec![
        Column::text("figure"),
        Column::number("published", ""),
        Column::number("simulated", ""),
        Column::number("ratio", ""),
        Column::text("remark"),
    ]);
    for figure in &reproduction.figures {
        let (published, simulated) = both(figure);
        let ratio = figure.ratio().map_or(String::new(), |r| format!("{r:.3}"));
        table.rows.push(vec![
            figure.what.clone(),
            published,
            simulated,
            ratio,
            figure.remark.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_without_a_pair_is_in_the_table_and_not_in_the_chart() {
        let figures = vec![
            Figure::new("size", "GB", 4.0, 4.2),
            Figure::out_of_reach("latency", "ms", 7.3, "the set-up does not say the mask"),
            Figure::beside("devices", "", 5.0),
        ];
        let reproduction = Reproduction { figures, remarks: vec!["one remark".to_owned()] };
        let table = figures_table(&reproduction).to_markdown();
        assert!(table.contains("| size | 4.000 GB | 4.200 GB | 1.050 |  |"), "{table}");
        assert!(table.contains("| latency | 7.300 ms |  |  | the set-up"), "{table}");
        let chart = RatioChart::new("paper", "somewhere", &reproduction);
        assert_eq!(chart.rows.len(), 1);
        assert!(chart.to_svg().contains("one remark"));
    }
}
